-- CSV, Parquet and JSON files in one join: what each kind of customer buys of what.
select
  coalesce(c.segment, 'unknown') as segment,
  p.category,
  count(distinct s.customer) as customers,
  sum(s.quantity) as units,
  sum(s.quantity * p.price) as at_list_price
from 'testdata/sales/*.csv' as s
join 'testdata/products.parquet' as p using (product)
left join 'testdata/customers.json' as c on c.id = s.customer
group by all
order by at_list_price desc
limit 8;
