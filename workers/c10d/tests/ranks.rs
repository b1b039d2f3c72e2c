//! Two ranks: what they sum is the whole, and one that is gone or stands still ends the other's wait with an error.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agoge_c10d::{Meeting, Ranks, RanksError};
use tch::{Kind, Tensor};

fn meeting(port: u16) -> Meeting {
    Meeting {
        host: "127.0.0.1".into(),
        port,
        join: Duration::from_secs(60),
        timeout: Duration::from_secs(3),
        interface: None,
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Gradient of a small network's squared error over rows `from..to`, divided by the number of all rows.
fn gradient(from: i64, to: i64) -> Vec<Tensor> {
    const ROWS: i64 = 64;
    let numbers = |n: i64| (Tensor::arange(n, (Kind::Float, tch::Device::Cpu)) * 0.37).sin();
    let inputs = numbers(ROWS * 16).reshape([ROWS, 16]);
    let first = numbers(16 * 33).reshape([16, 33]).set_requires_grad(true);
    let second = numbers(33).reshape([33, 1]).set_requires_grad(true);
    let rows = inputs.narrow(0, from, to - from);
    let error =
        rows.matmul(&first).tanh().matmul(&second) - rows.sum_dim_intlist(1i64, true, Kind::Float);
    let loss = error.square().sum(Kind::Float) / ROWS as f64;
    Tensor::run_backward(&[loss], &[&first, &second], false, false)
}

fn largest(a: &[Tensor], b: &[Tensor]) -> f64 {
    let far = |(a, b): (&Tensor, &Tensor)| (a - b).abs().max().double_value(&[]);
    a.iter().zip(b).map(far).fold(0.0, f64::max)
}

#[test]
fn two_ranks_hold_the_whole_batchs_gradient_and_rank_0s_values() {
    let port = free_port();
    let play = move |rank: usize| {
        let ranks = Ranks::join(rank, 2, &meeting(port)).unwrap();
        let half = gradient(32 * rank as i64, 32 * (rank as i64 + 1));
        let sum = ranks.all_reduce_sum("summing gradients", &half).unwrap();
        let mut weights = [Tensor::from_slice(&[rank as f32, 2.0]).reshape([2, 1])];
        ranks.broadcast("sharing weights", &mut weights).unwrap();
        let all = ranks
            .gather_bytes("sharing", vec![rank as u8; 2 - rank])
            .unwrap();
        let said = ranks
            .broadcast_bytes("sharing", vec![7 + rank as u8; 3])
            .unwrap();
        let mut most = [rank as f64, -(rank as f64)];
        ranks.max_figures("comparing", &mut most).unwrap();
        ranks.barrier("waiting").unwrap();
        (sum, weights, all, said, most)
    };
    let other = std::thread::spawn(move || play(1));
    let own = play(0);
    let other = other.join().unwrap();
    let whole = gradient(0, 64);
    for (sum, weights, all, said, most) in [&own, &other] {
        let far = largest(sum, &whole);
        println!("largest difference to the whole batch's gradient: {far:e}");
        if let Some(folder) = std::env::var_os("AGOGE_TEST_REPORT") {
            let file = std::path::Path::new(&folder).join("c10dGradientDifference");
            std::fs::write(file, far.to_string()).unwrap();
        }
        assert!(far < 1e-5, "{far}");
        assert_eq!(
            Vec::<f32>::try_from(weights[0].reshape([-1])).unwrap(),
            [0.0, 2.0]
        );
        assert_eq!(all, &[vec![0, 0], vec![1]]);
        assert_eq!(said, &[7, 7, 7]);
        assert_eq!(most, &[1.0, 0.0]);
    }
    assert_eq!(largest(&own.0, &other.0), 0.0, "the same bits on both");
}

/// Rank 1 of the test below: it comes to every barrier until it is ended.
#[test]
#[ignore = "a process of the test below"]
fn peer() {
    let port = std::env::var("AGOGE_TEST_PORT").unwrap().parse().unwrap();
    let ranks = Ranks::join(1, 2, &meeting(port)).unwrap();
    while ranks.sum_figures("counting", &mut [1.0]).is_ok() {}
}

fn peer_process(port: u16) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "peer", "--include-ignored"])
        .env("AGOGE_TEST_PORT", port.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_rank_that_is_killed_or_stands_still_is_an_error_and_not_a_hang() {
    for signal in ["-KILL", "-STOP"] {
        let port = free_port();
        let mut peer = peer_process(port);
        let ranks = Ranks::join(0, 2, &meeting(port)).unwrap();
        for _ in 0..3 {
            let mut figures = [1.0];
            ranks.sum_figures("counting", &mut figures).unwrap();
            assert_eq!(figures, [2.0]);
        }
        Command::new("kill")
            .args([signal, &peer.id().to_string()])
            .status()
            .unwrap();
        let end = loop {
            if let Err(error) = ranks.sum_figures("counting", &mut [1.0]) {
                break error;
            }
        };
        peer.kill().unwrap();
        peer.wait().unwrap();
        let said = end.to_string();
        println!("{signal}: {said}");
        assert!(matches!(end, RanksError::Lost { .. }), "{said}");
        assert!(
            said.contains("RankLost: rank 1") && said.contains("counting"),
            "{said}"
        );
    }
}

#[test]
fn a_rank_that_meets_nobody_says_where_it_waited() {
    let short = Meeting {
        join: Duration::from_secs(1),
        ..meeting(free_port())
    };
    let said = Ranks::join(1, 2, &short).unwrap_err().to_string();
    assert!(
        said.contains("rank 1 of 2") && said.contains(&short.port.to_string()),
        "{said}"
    );
}
