-- All the CSV files that a pattern matches are one table; GROUP BY ALL groups by every column without an aggregate.
select
  date_trunc('month', day)::date as month,
  region,
  count(*) as sales,
  sum(quantity) as units,
  sum(amount)::decimal(10, 2) as amount,
from 'testdata/sales/*.csv'
group by all
order by month, amount desc;
