-- Pipe syntax: each |> takes the rows of the line above, so the query reads in the order in which it runs.
from 'testdata/sales/*.csv'
|> where region in ('north', 'south')
|> extend amount / quantity as price
|> aggregate sum(quantity) as units, max(price) as price group by product
|> where units >= 10
|> order by units desc;
