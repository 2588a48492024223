//! Real applications side by side on one base.

use std::{
    io::{BufRead, BufReader},
    time::Duration,
};

use harness::postgres::Postgres;
use serde_json::{Value, json};

use crate::support::{base, body, eventually, install, json_of, order, remove, texts};

#[test]
fn a_database_a_stream_a_job_and_an_ark_biz_live_side_by_side() {
    let postgres = Postgres::start("ledger").unwrap();
    let base = base();
    let mut ledger = order("ledger", "1.0.0", "ledger");
    ledger["grants"] = json!({"env": {"PGPORT": postgres.port.to_string()}});
    install(&base, &ledger);
    install(&base, &order("quotes", "1.0.0", "quotes"));
    let mut ticker = order("ticker", "1.0.0", "ticker");
    ticker["args"] = json!(["--ticker.interval=100ms"]);
    install(&base, &ticker);
    install(&base, &order("stock", "1.0.0", "stock-biz-ark-biz"));

    // JPA on a real database: written, read, and rolled back.
    let book = |cents: i64| {
        let client: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let booking = json!({"account": "till", "cents": cents}).to_string();
        client
            .post(format!("http://{}/ledger/entries", base.gateway))
            .content_type("application/json")
            .send(&booking)
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!((book(1290), book(0)), (201, 400));
    let entries = json_of(&base, "/ledger/entries");
    assert_eq!(entries.as_array().unwrap().len(), 1, "{entries}");
    assert_eq!((&entries[0]["account"], &entries[0]["cents"]), (&json!("till"), &json!(1290)));
    assert_eq!(postgres.query("ledger", "select account, cents from entry").unwrap(), "till|1290");

    // Events come one by one: the first is read long before the last is sent.
    let response = ureq::get(format!("http://{}/quotes/stream?ticks=100&ms=50", base.gateway)).call().unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let began = std::time::Instant::now();
    let reader = BufReader::new(response.into_body().into_reader());
    let first: Vec<String> = reader.lines().map_while(Result::ok).filter(|line| line.starts_with("data:")).take(2).collect();
    assert!(began.elapsed() < Duration::from_millis(100 * 50), "the answer came as a whole");
    let quote: Value = serde_json::from_str(first[1].trim_start_matches("data:")).unwrap();
    assert_eq!(quote["priceCents"], 891);

    assert_eq!(json_of(&base, "/stock/items").as_array().unwrap().len(), 3);
    eventually("the job has ticked", || {
        let log = std::fs::read_to_string(base.data().parent().unwrap().join("ticker.log")).ok()?;
        log.contains("[ticker] [scheduling-1] TickerApplication: tick 2").then_some(())
    });
    assert!(texts(&base, "ledger", "1.0.0").iter().any(|line| line.contains("HikariPool-1 - Start completed")));
    for name in ["quotes", "ticker", "stock", "ledger"] {
        remove(&base, name, "1.0.0");
    }
    // Its connections are closed, not left to the garbage.
    let connections = "select count(*) from pg_stat_activity where datname = 'ledger' and pid <> pg_backend_pid()";
    eventually("the pool is closed", || (postgres.query("ledger", connections).unwrap() == "0").then_some(()));
    assert_eq!(body(&base, "/"), "hello from shop-base\n");
}

#[test]
fn an_application_without_actuator_is_probed_and_runs_nothing_of_its_own_for_that() {
    let base = base();
    for jar in ["greet-a", "old-module", "new-module"] {
        let mut order = order(jar, "1.0.0", jar);
        order["grants"] = json!({"config": {"logging.level.org.springframework.web": "debug"}});
        install(&base, &order);
        let log = texts(&base, jar, "1.0.0").join("\n");
        assert!(log.contains(&format!("OPTIONS \"/{jar}/\"")), "{log}");
        // Spring asks the application so how an error is to look.
        assert!(!log.contains("\"ERROR\" dispatch"), "{log}");
        remove(&base, jar, "1.0.0");
    }
}
