//! Every form of a result, on the values that forms get wrong.

mod files;
mod table;

use super::{Done, Room, sql};

/// Rows with NULLs, empty texts, quotes, line breaks, bars, other scripts, edges of types and nested values.
const MIXED: &str = r#"select * from (values
    (1, 'plain', 10.50::decimal(10, 2), date '2026-11-01', timestamp '2026-11-01 12:30:00', true, [1, 2], {'k': 1, 'v': 'a'}),
    (2, 'say "hi", it''s', -0.05::decimal(10, 2), date '1969-12-31', timestamp '2026-11-01 12:30:00.123456', false, [], {'k': 2, 'v': 'b|c'}),
    (3, E'two\nlines', 0::decimal(10, 2), date '0001-01-01', null, null, [3], null),
    (4, '', null, null, null, null, null, null),
    (5, 'żółw 日本', 99999999.99::decimal(10, 2), date '9999-12-31', null, true, [4], null),
    (6, E'tab\tbar|end', null, null, null, null, null, null),
    (null, null, null, null, null, null, null, null)
    ) v(id, text, price, day, at, ok, list, pair)"#;

const TYPES: &str =
    "select arrow_typeof(price) as p, arrow_typeof(day) as d, arrow_typeof(at) as a, arrow_typeof(list) as l";

const TEXTS: [&str; 7] = ["table", "csv", "tsv", "json", "ndjson", "markdown", "line"];
const BINARIES: [&str; 2] = ["parquet", "arrow"];

fn written(format: &str, sql: &str) -> String {
    run(format, sql).rows()
}

fn run(format: &str, sql: &str) -> Done {
    Room::new().query(["--format", format, "-c", sql]).run()
}

#[test]
fn csv_quotes_what_must_be_quoted_and_tells_null_from_no_text() {
    insta::assert_snapshot!(written("csv", MIXED), @r#"
    id,text,price,day,at,ok,list,pair
    1,plain,10.50,2026-11-01,2026-11-01T12:30:00,true,"[1, 2]","{k: 1, v: a}"
    2,"say ""hi"", it's",-0.05,1969-12-31,2026-11-01T12:30:00.123456,false,[],"{k: 2, v: b|c}"
    3,"two
    lines",0.00,0001-01-01,,,[3],
    4,"",,,,,,
    5,żółw 日本,99999999.99,9999-12-31,,true,[4],
    6,tab	bar|end,,,,,,
    ,,,,,,,
    "#);
}

#[test]
fn tsv_is_csv_with_tabs() {
    insta::assert_snapshot!(written("tsv", MIXED).replace('\t', "→"), @r#"
    id→text→price→day→at→ok→list→pair
    1→plain→10.50→2026-11-01→2026-11-01T12:30:00→true→[1, 2]→{k: 1, v: a}
    2→"say ""hi"", it's"→-0.05→1969-12-31→2026-11-01T12:30:00.123456→false→[]→{k: 2, v: b|c}
    3→"two
    lines"→0.00→0001-01-01→→→[3]→
    4→""→→→→→→
    5→żółw 日本→99999999.99→9999-12-31→→true→[4]→
    6→"tab→bar|end"→→→→→→
    →→→→→→→
    "#);
}

#[test]
fn json_is_one_array_with_every_column_in_every_object() {
    insta::assert_snapshot!(written("json", MIXED), @r#"[{"id":1,"text":"plain","price":10.50,"day":"2026-11-01","at":"2026-11-01T12:30:00","ok":true,"list":[1,2],"pair":{"k":1,"v":"a"}},{"id":2,"text":"say \"hi\", it's","price":-0.05,"day":"1969-12-31","at":"2026-11-01T12:30:00.123456","ok":false,"list":[],"pair":{"k":2,"v":"b|c"}},{"id":3,"text":"two\nlines","price":0.00,"day":"0001-01-01","at":null,"ok":null,"list":[3],"pair":null},{"id":4,"text":"","price":null,"day":null,"at":null,"ok":null,"list":null,"pair":null},{"id":5,"text":"żółw 日本","price":99999999.99,"day":"9999-12-31","at":null,"ok":true,"list":[4],"pair":null},{"id":6,"text":"tab\tbar|end","price":null,"day":null,"at":null,"ok":null,"list":null,"pair":null},{"id":null,"text":null,"price":null,"day":null,"at":null,"ok":null,"list":null,"pair":null}]"#);
}

#[test]
fn ndjson_is_an_object_per_line() {
    insta::assert_snapshot!(written("ndjson", MIXED), @r#"
    {"id":1,"text":"plain","price":10.50,"day":"2026-11-01","at":"2026-11-01T12:30:00","ok":true,"list":[1,2],"pair":{"k":1,"v":"a"}}
    {"id":2,"text":"say \"hi\", it's","price":-0.05,"day":"1969-12-31","at":"2026-11-01T12:30:00.123456","ok":false,"list":[],"pair":{"k":2,"v":"b|c"}}
    {"id":3,"text":"two\nlines","price":0.00,"day":"0001-01-01","at":null,"ok":null,"list":[3],"pair":null}
    {"id":4,"text":"","price":null,"day":null,"at":null,"ok":null,"list":null,"pair":null}
    {"id":5,"text":"żółw 日本","price":99999999.99,"day":"9999-12-31","at":null,"ok":true,"list":[4],"pair":null}
    {"id":6,"text":"tab\tbar|end","price":null,"day":null,"at":null,"ok":null,"list":null,"pair":null}
    {"id":null,"text":null,"price":null,"day":null,"at":null,"ok":null,"list":null,"pair":null}
    "#);
}

#[test]
fn markdown_keeps_every_row_on_its_line() {
    insta::assert_snapshot!(written("markdown", MIXED), @r#"
    | id | text | price | day | at | ok | list | pair |
    |---:|---|---:|---|---|---|---|---|
    | 1 | plain | 10.50 | 2026-11-01 | 2026-11-01T12:30:00 | true | [1, 2] | {k: 1, v: a} |
    | 2 | say "hi", it's | -0.05 | 1969-12-31 | 2026-11-01T12:30:00.123456 | false | [] | {k: 2, v: b\|c} |
    | 3 | two<br>lines | 0.00 | 0001-01-01 | NULL | NULL | [3] | NULL |
    | 4 |  | NULL | NULL | NULL | NULL | NULL | NULL |
    | 5 | żółw 日本 | 99999999.99 | 9999-12-31 | NULL | true | [4] | NULL |
    | 6 | tab	bar\|end | NULL | NULL | NULL | NULL | NULL | NULL |
    | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL |
    "#);
}

#[test]
fn line_gives_every_value_a_line() {
    insta::assert_snapshot!(written("line", MIXED), @r#"
       id = 1
     text = plain
    price = 10.50
      day = 2026-11-01
       at = 2026-11-01T12:30:00
       ok = true
     list = [1, 2]
     pair = {k: 1, v: a}

       id = 2
     text = say "hi", it's
    price = -0.05
      day = 1969-12-31
       at = 2026-11-01T12:30:00.123456
       ok = false
     list = []
     pair = {k: 2, v: b|c}

       id = 3
     text = two
    lines
    price = 0.00
      day = 0001-01-01
       at = NULL
       ok = NULL
     list = [3]
     pair = NULL

       id = 4
     text = 
    price = NULL
      day = NULL
       at = NULL
       ok = NULL
     list = NULL
     pair = NULL

       id = 5
     text = żółw 日本
    price = 99999999.99
      day = 9999-12-31
       at = NULL
       ok = true
     list = [4]
     pair = NULL

       id = 6
     text = tab\tbar|end
    price = NULL
      day = NULL
       at = NULL
       ok = NULL
     list = NULL
     pair = NULL

       id = NULL
     text = NULL
    price = NULL
      day = NULL
       at = NULL
       ok = NULL
     list = NULL
     pair = NULL
    "#);
}

#[test]
fn control_characters_in_lines_do_not_drive_the_terminal() {
    let sql = "select E'red\\u001b[31m, bell\\u0007' as \"a\tb\", E'two\\nlines' as c";
    insta::assert_snapshot!(written("line", sql), @r"
    a\tb = red\u{1b}[31m, bell\u{7}
       c = two
    lines
    ");
}

#[test]
fn null_in_a_single_column_is_no_empty_line_because_readers_skip_those() {
    let sql = "select * from (values ('a'), (''), (null), ('b')) v(x)";
    assert_eq!(written("csv", sql), "x\na\n\"\"\n\"\"\nb\n");
    assert_eq!(written("tsv", sql), "x\na\n\"\"\n\"\"\nb\n");
}

#[test]
fn a_table_is_drawn_for_people() {
    insta::assert_snapshot!(written("table", MIXED), @r#"
    ╭──────┬────────────────┬─────────────┬────────────┬────────────────────────────┬───────┬────────┬────────────────╮
    │ id   ┆ text           ┆ price       ┆ day        ┆ at                         ┆ ok    ┆ list   ┆ pair           │
    ╞══════╪════════════════╪═════════════╪════════════╪════════════════════════════╪═══════╪════════╪════════════════╡
    │    1 ┆ plain          ┆       10.50 ┆ 2026-11-01 ┆ 2026-11-01T12:30:00        ┆ true  ┆ [1, 2] ┆ {k: 1, v: a}   │
    │    2 ┆ say "hi", it's ┆       -0.05 ┆ 1969-12-31 ┆ 2026-11-01T12:30:00.123456 ┆ false ┆ []     ┆ {k: 2, v: b|c} │
    │    3 ┆ two            ┆        0.00 ┆ 0001-01-01 ┆ NULL                       ┆ NULL  ┆ [3]    ┆ NULL           │
    │      ┆ lines          ┆             ┆            ┆                            ┆       ┆        ┆                │
    │    4 ┆                ┆        NULL ┆ NULL       ┆ NULL                       ┆ NULL  ┆ NULL   ┆ NULL           │
    │    5 ┆ żółw 日本      ┆ 99999999.99 ┆ 9999-12-31 ┆ NULL                       ┆ true  ┆ [4]    ┆ NULL           │
    │    6 ┆ tab\tbar|end   ┆        NULL ┆ NULL       ┆ NULL                       ┆ NULL  ┆ NULL   ┆ NULL           │
    │ NULL ┆ NULL           ┆        NULL ┆ NULL       ┆ NULL                       ┆ NULL  ┆ NULL   ┆ NULL           │
    ╰──────┴────────────────┴─────────────┴────────────┴────────────────────────────┴───────┴────────┴────────────────╯
    "#);
}

#[test]
fn the_rarer_types_are_text_that_reads_back() {
    let sql = "select timestamp '2026-11-01 12:00:00' as at,
        arrow_cast('2026-11-01T12:00:00+02:00', 'Timestamp(Second, Some(\"Europe/Paris\"))') as zoned,
        '12:30:00'::time as clock, interval '1 month 2 days 3 hours' as span, x'00ff10' as bytes,
        1::bigint unsigned as whole, 0.1::float as single, 1e21::double as large, 'nan'::double as nan,
        '12345678901234567890123456789.123456789'::decimal(38, 9) as exact,
        arrow_cast('x', 'Dictionary(Int32, Utf8)') as word, [[1, 2], [3]] as nested, map(['a'], [1]) as pairs";
    insta::assert_snapshot!(written("line", sql), @r"
        at = 2026-11-01T12:00:00
     zoned = 2026-11-01T11:00:00+01:00
     clock = 12:30:00
      span = 1 mons 2 days 3 hours
     bytes = 00ff10
     whole = 1
    single = 0.1
     large = 1e21
       nan = NaN
     exact = 12345678901234567890123456789.123456789
      word = x
    nested = [[1, 2], [3]]
     pairs = {a: 1}
    ");
    insta::assert_snapshot!(written("csv", sql), @r#"
    at,zoned,clock,span,bytes,whole,single,large,nan,exact,word,nested,pairs
    2026-11-01T12:00:00,2026-11-01T11:00:00+01:00,12:30:00,1 mons 2 days 3 hours,00ff10,1,0.1,1e21,NaN,12345678901234567890123456789.123456789,x,"[[1, 2], [3]]",{a: 1}
    "#);
    insta::assert_snapshot!(written("json", sql), @r#"[{"at":"2026-11-01T12:00:00","zoned":"2026-11-01T11:00:00+01:00","clock":"12:30:00","span":"1 mons 2 days 3 hours","bytes":"00ff10","whole":1,"single":0.1,"large":1.0e21,"nan":null,"exact":12345678901234567890123456789.123456789,"word":"x","nested":[[1,2],[3]],"pairs":{"a":1}}]"#);
}

#[test]
fn names_of_columns_are_quoted_like_values() {
    let sql = r#"select 1 as "a b", 2 as "a,b", 3 as "a""b", 4 as "a|b", 5 as "日本""#;
    insta::assert_snapshot!(written("csv", sql), @r#"
    a b,"a,b","a""b",a|b,日本
    1,2,3,4,5
    "#);
    insta::assert_snapshot!(written("ndjson", sql), @r#"{"a b":1,"a,b":2,"a\"b":3,"a|b":4,"日本":5}"#);
    insta::assert_snapshot!(written("markdown", sql), @r#"
    | a b | a,b | a"b | a\|b | 日本 |
    |---:|---:|---:|---:|---:|
    | 1 | 2 | 3 | 4 | 5 |
    "#);
    insta::assert_snapshot!(written("line", sql), @r#"
     a b = 1
     a,b = 2
     a"b = 3
     a|b = 4
    日本 = 5
    "#);
}

#[test]
fn a_null_inside_a_list_is_not_an_empty_list() {
    let sql = "select [null] as a, [] as b, [1, null] as c, {'k': null} as d";
    assert_eq!(written("csv", sql), "a,b,c,d\n[NULL],[],\"[1, NULL]\",{k: NULL}\n");
    assert_eq!(written("tsv", sql), "a\tb\tc\td\n[NULL]\t[]\t[1, NULL]\t{k: NULL}\n");
}

#[test]
fn a_backslash_before_a_bar_does_not_end_a_markdown_cell() {
    let rows = written("markdown", r"select 'a\|b' as x, 'c\' as y");
    let line = rows.lines().nth(2).unwrap();
    // A backslash takes the meaning of the character after it, be that a bar or a backslash.
    let (mut bars, mut escaped) = (0, false);
    for character in line.chars() {
        bars += usize::from(character == '|' && !escaped);
        escaped = character == '\\' && !escaped;
    }
    assert_eq!(bars, 3, "{line}");
}

#[test]
fn without_a_terminal_results_are_csv() {
    assert_eq!(sql("select 1 as a, null as b").rows(), "a,b\n1,\n");
}

#[test]
fn no_rows_are_still_a_document() {
    let none = "select 1 as id, 'x' as \"the text\" where false";
    insta::assert_snapshot!(written("table", none), @r"
    ╭────┬──────────╮
    │ id ┆ the text │
    ╞════╪══════════╡
    ╰────┴──────────╯
    ");
    insta::assert_snapshot!(written("markdown", none), @r"
    | id | the text |
    |---:|---|
    ");
    assert_eq!(written("csv", none), "id,the text\n");
    assert_eq!(written("tsv", none), "id\tthe text\n");
    assert_eq!(written("json", none), "[]\n");
    assert_eq!(written("ndjson", none), "");
    assert_eq!(written("line", none), "");
    for format in BINARIES {
        let room = Room::new();
        let file = format!("none.{format}");
        room.write(&file, run(format, none).stdout);
        assert_eq!(room.sql(&format!("select * from '{file}'")).rows(), "id,the text\n", "{format}");
    }
}

#[test]
fn results_follow_each_other_in_textual_formats() {
    let two = "select 1 as a; select 2 as b";
    assert_eq!(written("csv", two), "a\n1\nb\n2\n");
    assert_eq!(written("json", two), "[{\"a\":1}]\n[{\"b\":2}]\n");
    assert_eq!(written("ndjson", two), "{\"a\":1}\n{\"b\":2}\n");
    for format in TEXTS {
        let both = format!("{}{}", written(format, "select 1 as a"), written(format, "select 2 as b"));
        assert_eq!(written(format, two), both, "{format}");
    }
}

#[test]
fn two_binary_documents_do_not_fit_one_stream() {
    let room = Room::new();
    for format in BINARIES {
        let script = "copy (select 1 as a) to 'ran.csv'; select 1 as a; select 2 as b";
        let error = room.query(["--format", format, "-c", script]).run().error(2);
        assert!(error.starts_with("error: the output takes one result set, the SQL gives 2\n"), "{error}");
        assert!(room.names().is_empty(), "{format}");
    }
}

#[test]
fn binary_formats_give_back_what_went_in() {
    let room = Room::new();
    let expected = room.query(["--format", "line", "-c", MIXED]).run().rows();
    for format in BINARIES {
        let file = format!("mixed.{format}");
        room.write(&file, run(format, MIXED).stdout);
        let all = format!("select * from '{file}'");
        assert_eq!(room.query(["--format", "line", "-c", &all]).run().rows(), expected, "{format}");
        let types = |source: &str| room.sql(&format!("{TYPES} from {source} limit 1")).rows();
        assert_eq!(types(&format!("'{file}'")), types(&format!("({MIXED})")), "{format}");
    }
}

#[test]
fn many_batches_make_one_document() {
    let many = "select value as a from generate_series(1, 20000) order by a";
    assert_eq!(written("csv", many).lines().count(), 20_001);
    assert_eq!(written("tsv", many).lines().count(), 20_001);
    assert_eq!(written("ndjson", many).lines().count(), 20_000);
    assert_eq!(written("markdown", many).lines().count(), 20_002);
    assert_eq!(written("line", many).lines().count(), 39_999);
    let json = written("json", many);
    assert!(json.starts_with("[{\"a\":1},{\"a\":2},") && json.ends_with(",{\"a\":20000}]\n"));
    assert_eq!(json.matches("},{").count(), 19_999);
    let room = Room::new();
    for format in BINARIES {
        let file = format!("many.{format}");
        room.write(&file, run(format, many).stdout);
        let rows = room.sql(&format!("select count(*) as n, sum(a) as s from '{file}'")).rows();
        assert_eq!(rows, "n,s\n20000,200010000\n", "{format}");
    }
}
