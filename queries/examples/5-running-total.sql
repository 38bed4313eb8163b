-- Window functions: one named window numbers the sales and adds them up, another averages each with its two before.
select
  day,
  product,
  row_number() over by_day as sale,
  sum(amount) over by_day as total_so_far,
  round(avg(amount) over last_three, 2) as average_of_three
from 'testdata/sales/2026-11.csv'
where region = 'north'
window
  by_day as (order by day),
  last_three as (order by day rows between 2 preceding and current row)
order by day;
