-- QUALIFY filters by a window function: the two products of each region that brought in most.
select
  region,
  product,
  sum(amount)::decimal(10, 2) as amount,
  rank() over by_amount as place
from 'testdata/sales/*.csv'
group by region, product
qualify place <= 2
window by_amount as (partition by region order by sum(amount) desc)
order by region, place;
