-- FROM may stand first, and alone it gives every column; * EXCLUDE and * REPLACE shape the rest.
describe from 'testdata/products.parquet';

from 'testdata/products.parquet'
select * exclude (launched) replace (upper(category) as category), coalesce(launched, date '2024-01-01') as since
order by category, price desc;

-- A product that no sale mentions: the join keeps the left rows without a partner, and only their columns.
from 'testdata/products.parquet' as p
anti join 'testdata/sales' as s on s.product = p.product;
