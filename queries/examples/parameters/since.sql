-- $day and $region stand for values from outside, bound with their types and never pasted in as text:
--   query run queries/examples/parameters/since.sql --param day=2026-11-15 --param region=west
select
  day,
  product,
  quantity,
  amount
from 'testdata/sales/*.csv'
where day >= $day
  and region = $region
order by day, product;
