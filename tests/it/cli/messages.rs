//! What people read when something is wrong, word by word.

mod names;
mod parsing;
mod places;
mod running;
mod types;

use super::Room;

/// A table to be wrong about.
const ORDERS: &str = "create table orders as
    select * from (values (1, 'north', 10.5), (2, 'south', 20.0)) v(id, region, amount)";

/// The message that a statement over `orders` fails with.
#[track_caller]
fn message(sql: &str) -> String {
    Room::new().query(["-c", ORDERS, "-c", sql]).run().error(1)
}

/// The message that a script file fails with.
#[track_caller]
fn message_of_script(name: &str, script: &str) -> String {
    let room = Room::new();
    room.write(name, script);
    room.query(["run", name]).run().error(1)
}
