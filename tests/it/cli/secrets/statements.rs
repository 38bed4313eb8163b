//! `CREATE SECRET`, `DROP SECRET`, `SHOW SECRETS`.

use super::super::{Room, sql};

#[test]
fn secrets_are_shown_without_their_values() {
    let script = "create secret lake (type s3, key_id 'AKIDSHOWN', secret 'never-shown', region 'eu-west-1', \
                  scope 's3://lake');
                  create or replace secret lake (type s3, key_id 'AKIDSHOWN2', secret 'never-shown2', scope 's3://lake/in');
                  create secret if not exists lake (type gcs);
                  create secret (type http, extra_http_headers map {'Authorization': 'Basic never', 'X-A': 'b'});
                  create temporary secret public (TYPE s3, PROVIDER anonymous, USE_SSL false,);
                  create secret team (type s3, profile 'team');
                  create secret gone (type hdfs, user 'me');
                  drop secret gone; drop secret if exists gone; show secrets";
    assert_eq!(
        sql(script).rows(),
        "name,type,provider,scope,settings\n\
         __default_http,http,config,,extra_http_headers\n\
         lake,s3,config,s3://lake/in,\"key_id, secret\"\n\
         public,s3,anonymous,,\"provider, use_ssl\"\n\
         team,s3,credential_chain,,profile\n"
    );
    assert_eq!(sql("show secrets").rows(), "name,type,provider,scope,settings\n");
}

#[test]
fn values_may_be_parameters() {
    let room = Room::new();
    let sql = "create secret s (type s3, key_id $id, secret $word, region $place); show secrets";
    let given = ["--param", "id=AKIDPARAM", "--param", "word=never-shown", "--param", "place=eu-west-1"];
    let rows = room.query([&["-c", sql][..], &given].concat()).run().rows();
    assert_eq!(rows, "name,type,provider,scope,settings\ns,s3,config,,\"key_id, region, secret\"\n");
    let error = room.query([&["-c", sql][..], &given[..2]].concat()).run().error(2);
    assert!(error.contains("parameter '$word' has no value"), "{error}");
}

#[test]
fn errors_point_at_their_place_and_hide_the_values() {
    for (text, expected) in [
        (
            "create secret s (type s4, key_id 'AKIDERR', secret 'never-shown')",
            "error: there are no secrets of type 's4'\n --> <command line>:1:23\n  |\n\
             1 | create secret s (type s4, key_id '***', secret '***')\n  |                       ^^\n  |\n  = help: did you mean 's3'?\n",
        ),
        (
            "create secret s (type s3, key_id 'AKIDERR', secert 'never-shown')",
            "error: there is no setting 'secert' of secrets of type s3\n --> <command line>:1:41\n  |\n\
             1 | create secret s (type s3, key_id '***', secert '***')\n  |                                         ^^^^^^\n  |\n  = help: did you mean 'secret'?\n",
        ),
        (
            "create secret s (type s3, key_id 'AKIDERR' secret 'never-shown')",
            "error: expected , or ) after a setting, found something else\n --> <command line>:1:40\n  |\n\
             1 | create secret s (type s3, key_id '***' secret '***')\n  |                                        ^^^^^^\n",
        ),
        (
            "create secret s (type s3, secret 'never-shown)",
            "error: unterminated string literal\n --> <command line>:1:34\n  |\n\
             1 | create secret s (type s3, secret '***\n  |                                  ^\n",
        ),
        (
            "create persistent secret s (type s3, secret 'never-shown')",
            "error: secrets that are made by a statement end with the session\n --> <command line>:1:8\n  |\n\
             1 | create persistent secret s (type s3, secret '***')\n  |        ^^^^^^^^^^\n  |\n  = help: put one that is to last into the configuration file, as [secrets.NAME]: docs/secrets.md\n",
        ),
        (
            "create secret s (type s3); create secret s (type s3, secret 'never-shown', key_id 'AKIDERR')",
            "error: there is a secret 's' already\n --> <command line>:1:28\n  |\n\
             1 | create secret s (type s3); create secret s (type s3, secret '***', key_id '***')\n  |                            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n  |\n  = help: CREATE OR REPLACE SECRET puts another in its place\n",
        ),
        (
            "create secret lake (type s3); drop secret laek",
            "error: there is no secret 'laek'\n --> <command line>:1:43\n  |\n\
             1 | create secret lake (type s3); drop secret laek\n  |                                           ^^^^\n  |\n  = help: did you mean 'lake'?\n",
        ),
        (
            "create or replace secret if not exists s (type s3)",
            "error: OR REPLACE and IF NOT EXISTS rule each other out\n --> <command line>:1:26\n  |\n\
             1 | create or replace secret if not exists s (type s3)\n  |                          ^^\n",
        ),
    ] {
        assert_eq!(sql(text).error(1), expected);
    }
}

#[test]
fn what_explains_or_prepares_a_secret_is_refused_without_its_values() {
    for statement in [
        "explain create secret s (type s3, key_id 'AKIDEXPL', secret 'never-shown')",
        "explain analyze create secret s (type s3, key_id 'AKIDEXPL', secret 'never-shown')",
        "explain graph create secret s (type s3, key_id 'AKIDEXPL', secret 'never-shown')",
        "prepare p as create secret s (type s3, key_id 'AKIDEXPL', secret 'never-shown')",
        "creat secret s (type s3, key_id 'AKIDEXPL', secret 'never-shown')",
        "create secret s (type s3, key_id AKIDEXPL, secret never-shown)",
        "select 1 from (create secret s (type s3, key_id 'AKIDEXPL', secret 'never-shown'))",
    ] {
        let error = sql(statement).error(1);
        assert!(!error.contains("AKIDEXPL") && !error.contains("never-shown"), "{error}");
    }
}

#[test]
fn tables_and_columns_may_have_the_names_of_statements_about_secrets() {
    let script = "create table secret (secrets int); insert into secret values (1); create table secrets as select 2 as secret;
                  select secrets, secrets.secret from secret, secrets";
    let (rows, said) = sql(script).both(0);
    assert_eq!((rows.as_str(), said.as_str()), ("secrets,secret\n1,2\n", "1 row written\n"));
}
