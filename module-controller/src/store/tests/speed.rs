//! How many durable writes a second there are. Run with `--ignored --nocapture`.

use std::time::Instant;

use super::*;

async fn writes(store: Arc<dyn Store>, writers: usize, each: usize) -> f64 {
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut document = store.commit(vec![Write::Create(base(&format!("w{writers}-{writer}"), 1000))], None).await.unwrap();
                for _ in 1..each {
                    let seen = document.remove(0).after;
                    document = store.commit(vec![update(&seen, |base| base.status.modules += 1)], None).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let count = (writers * each) as f64;
    count / start.elapsed().as_secs_f64()
}

fn measure(name: &str, place: &Place) {
    for (writers, each) in [(1, 200), (16, 200), (64, 200), (256, 100)] {
        let rate = runtime().block_on(writes(place.store.clone(), writers, each));
        println!("{name}: {writers} writers, {rate:.0} durable commits a second");
    }
}

#[test]
#[ignore = "a measurement"]
fn durable_writes_a_second_in_sqlite() {
    measure("sqlite", &sqlite());
}
