//! Sessions over the courier domain: rewards, isolation, resets, limits, the token, and checkers that are stopped.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agoge_gym::{
    App, Catalog, Choice, Hall, Opened, Refused, ServerLimits, SessionId, Token, serve,
};
use agoge_sandbox::Limits;
use agoge_world::{Domain, Mix, Party, Split, Task, World, tasks};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const LOOP: &str = "def check(calls, messages):\n    while True:\n        pass\n";

fn domain() -> Arc<Domain> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/courier/domain");
    Arc::new(Domain::load(&dir).unwrap())
}

/// Two tasks whose gold acts, and the first of them again with a checker that never ends.
fn suite() -> Vec<(Split, Task)> {
    let mut world = World::open(domain(), Limits::default()).unwrap();
    let drawn = tasks(&mut world, Split::TrainRl, Mix::EvenBranches, 3, 60).unwrap();
    let acts = |task: &Task| !task.gold.is_empty() && task.user.facts.iter().all(|fact| !fact.held);
    let mut chosen: Vec<Task> = drawn.into_iter().filter(acts).take(2).collect();
    let mut looping = chosen[0].clone();
    looping.id = "looping".into();
    looping.checker = Some(LOOP.into());
    chosen.push(looping);
    chosen
        .into_iter()
        .map(|task| (Split::TrainRl, task))
        .collect()
}

fn hall(limits: ServerLimits, worlds: usize) -> (Hall, Vec<Task>) {
    let suite = suite();
    let all = suite.iter().map(|(_, task)| task.clone()).collect();
    let sandbox = Limits {
        cpu: Duration::from_millis(300),
        ..Limits::default()
    };
    let catalog = Catalog::new(suite).unwrap();
    (
        Hall::open(domain(), catalog, worlds, &sandbox, limits).unwrap(),
        all,
    )
}

fn of(task: &Task) -> Choice {
    Choice {
        task: Some(task.id.clone()),
        ..Choice::default()
    }
}

fn id(opened: &Opened) -> SessionId {
    opened.session.parse().unwrap()
}

/// Does what the task's gold does, and says what it must.
async fn solve(hall: &Hall, session: SessionId, task: &Task) -> Result<f64, Refused> {
    for call in &task.gold {
        let arguments = call.arguments.clone();
        let result = hall
            .call(session, Party::Agent, &call.name, arguments)
            .await?;
        assert!(!result.error, "{}", result.content);
    }
    let said = vec![task.agent.answer.clone(), task.outputs.join(" ")];
    Ok(hall.verify(session, said).await?.reward)
}

#[tokio::test]
async fn gold_is_worth_one_and_nothing_done_is_worth_nothing() {
    let (hall, tasks) = hall(ServerLimits::default(), 1);
    for task in &tasks[..2] {
        let opened = hall.begin(&of(task)).await.unwrap();
        assert_eq!(opened.opening, task.user.opening);
        let idle = hall.verify(id(&opened), Vec::new()).await.unwrap();
        assert_eq!(idle.reward, 0.0, "{idle:?}");
        assert_eq!(solve(&hall, id(&opened), task).await, Ok(1.0));
    }
}

#[tokio::test]
async fn an_agent_that_speaks_to_the_scripted_user_is_answered_until_it_closes() {
    let (hall, tasks) = hall(ServerLimits::default(), 1);
    let task = &tasks[0];
    let session = id(&hall.begin(&of(task)).await.unwrap());
    for call in &task.gold {
        let arguments = call.arguments.clone();
        hall.call(session, Party::Agent, &call.name, arguments)
            .await
            .unwrap();
    }
    let reply = hall.say(session, task.agent.answer.clone()).await.unwrap();
    assert!(reply.done, "{reply:?}");
    assert_eq!(hall.verify(session, Vec::new()).await.unwrap().reward, 1.0);
    assert_eq!(hall.say(session, "hm".into()).await, Err(Refused::Closed));
    let call = &task.gold[0];
    let late = hall
        .call(session, Party::Agent, &call.name, call.arguments.clone())
        .await;
    assert_eq!(late.unwrap_err(), Refused::Closed);
}

#[tokio::test]
async fn the_agents_tool_is_none_of_the_users_and_the_refusal_has_the_domains_words() {
    let mut domain = Domain::clone(&domain());
    domain.error_text = "Refused: {}".into();
    let suite = suite();
    let call = suite[0].1.gold[0].clone();
    let choice = of(&suite[0].1);
    let (catalog, limits) = (Catalog::new(suite).unwrap(), ServerLimits::default());
    let hall = Hall::open(Arc::new(domain), catalog, 1, &Limits::default(), limits).unwrap();
    let session = id(&hall.begin(&choice).await.unwrap());
    let result = hall
        .call(session, Party::User, &call.name, call.arguments)
        .await
        .unwrap();
    assert!(result.error && result.content.starts_with("Refused: there is no tool"));
    assert!(hall.state(session).await.unwrap().diff.is_empty());
}

#[tokio::test]
async fn no_session_sees_another() {
    let (hall, tasks) = hall(ServerLimits::default(), 2);
    let task = &tasks[0];
    let one = hall.begin(&of(task)).await.unwrap();
    let other = hall.begin(&of(task)).await.unwrap();
    assert_ne!(one.session, other.session);
    assert_eq!(solve(&hall, id(&one), task).await, Ok(1.0));
    let untouched = hall.state(id(&other)).await.unwrap();
    assert!(
        untouched.diff.is_empty() && untouched.steps == 0,
        "{untouched:?}"
    );
    assert_eq!(
        hall.verify(id(&other), Vec::new()).await.unwrap().reward,
        0.0
    );
    assert!(!hall.state(id(&one)).await.unwrap().diff.is_empty());
    // Closing one leaves the other, and its id is of no more use.
    assert!(hall.close(id(&one)) && !hall.close(id(&one)));
    assert_eq!(hall.state(id(&one)).await.unwrap_err(), Refused::NoSession);
    assert!(hall.state(id(&other)).await.is_ok());
}

#[tokio::test]
async fn a_reset_begins_anew_and_calls_of_one_session_keep_their_order() {
    let (hall, tasks) = hall(ServerLimits::default(), 4);
    let task = &tasks[0];
    let session = id(&hall.begin(&of(task)).await.unwrap());
    let calls = (0..40).map(|n| {
        let arguments = Map::from_iter([("parcel".to_owned(), json!(format!("{n:05}")))]);
        hall.call(session, Party::Agent, "find", arguments)
    });
    futures::future::join_all(calls).await;
    let state = hall.state(session).await.unwrap();
    let asked = state
        .messages
        .iter()
        .flat_map(|message| &message.tool_calls);
    let asked: Vec<Value> = asked.map(|call| call.arguments["parcel"].clone()).collect();
    assert_eq!(
        asked,
        (0..40)
            .map(|n| json!(format!("{n:05}")))
            .collect::<Vec<_>>()
    );
    hall.reset(session, None).await.unwrap();
    let state = hall.state(session).await.unwrap();
    assert_eq!(
        (state.steps, state.messages.len(), state.task),
        (0, 1, task.id.clone())
    );
    assert_eq!(solve(&hall, session, task).await, Ok(1.0));
    hall.reset(session, Some(&of(&tasks[1]))).await.unwrap();
    assert_eq!(solve(&hall, session, &tasks[1]).await, Ok(1.0));
}

#[tokio::test]
async fn a_checker_that_is_stopped_is_an_error_and_no_reward() {
    let (hall, tasks) = hall(ServerLimits::default(), 1);
    let session = id(&hall.begin(&of(&tasks[2])).await.unwrap());
    let refused = solve(&hall, session, &tasks[2]).await.unwrap_err();
    assert!(matches!(refused, Refused::Stopped(_)), "{refused:?}");
    assert!(refused.status().is_server_error());
    // The world it ran in goes on.
    let next = id(&hall.begin(&of(&tasks[0])).await.unwrap());
    assert_eq!(solve(&hall, next, &tasks[0]).await, Ok(1.0));
}

#[tokio::test]
async fn limits_hold_and_idle_sessions_make_room() {
    let limits = ServerLimits {
        sessions: 2,
        calls: 3,
        idle: Duration::from_secs(60),
        ..ServerLimits::default()
    };
    let (hall, tasks) = hall(limits, 1);
    let first = id(&hall.begin(&of(&tasks[0])).await.unwrap());
    let call = |session| hall.call(session, Party::Agent, "find", Map::new());
    for _ in 0..3 {
        assert!(call(first).await.unwrap().error);
    }
    assert_eq!(call(first).await.unwrap_err(), Refused::TooManyCalls(3));
    let second = id(&hall.begin(&of(&tasks[0])).await.unwrap());
    assert_eq!(
        hall.begin(&of(&tasks[0])).await.unwrap_err(),
        Refused::Full(2)
    );
    // A session with a verdict makes room, and so does one that nobody uses.
    hall.verify(second, Vec::new()).await.unwrap();
    hall.begin(&of(&tasks[0])).await.unwrap();
    assert_eq!((hall.held(), hall.has(second)), (2, false));
    assert_eq!(hall.sweep(Instant::now()), 0);
    // A session may be busy for a moment after its answer.
    let mut swept = 0;
    while swept < 2 {
        swept += hall.sweep(Instant::now() + Duration::from_secs(61));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(hall.held(), 0);
    let wrong = Choice {
        task: Some("none".into()),
        ..Choice::default()
    };
    assert!(matches!(hall.begin(&wrong).await, Err(Refused::NoTask(_))));
}

/// Sends one request and returns the status and the body.
async fn request(to: SocketAddr, head: &str, headers: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let length = body.len();
    let text = format!(
        "{head} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

async fn served(token: Option<&str>, limits: ServerLimits) -> (SocketAddr, Vec<Task>) {
    let (hall, tasks) = hall(limits, 1);
    let app = App::new(hall, token.map(|token| Token::new(token).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Arc::new(app), std::future::pending()));
    (address, tasks)
}

#[tokio::test]
async fn every_path_but_the_probes_needs_the_token() {
    let secret = "0123456789abcdef";
    let (to, tasks) = served(Some(secret), ServerLimits::default()).await;
    let begin = json!({"task": tasks[0].id}).to_string();
    for (head, body) in [
        ("POST /sessions", begin.as_str()),
        ("POST /seed_session", begin.as_str()),
        ("POST /reset", "{}"),
        ("GET /tasks", ""),
        ("GET /ws", ""),
        ("POST /mcp/00000000000000000000000000000000", "{}"),
    ] {
        assert_eq!(request(to, head, "", body).await.0, 401, "{head}");
        let wrong = "Authorization: Bearer 0123456789abcdeF\r\n";
        assert_eq!(request(to, head, wrong, body).await.0, 401, "{head}");
    }
    assert_eq!(request(to, "GET /health", "", "").await.0, 200);
    let right = format!("Authorization: Bearer {secret}\r\n");
    let (status, opened) = request(to, "POST /sessions", &right, &begin).await;
    assert_eq!((status, &opened["task"]), (201, &json!(tasks[0].id)));
}

#[tokio::test]
async fn what_a_client_sends_is_held_against_the_limits() {
    let limits = ServerLimits {
        body_bytes: 4096,
        rate: 10,
        ..ServerLimits::default()
    };
    let (to, tasks) = served(None, limits).await;
    assert_eq!(
        request(to, "POST /sessions", "", &"x".repeat(5000)).await.0,
        413
    );
    assert_eq!(request(to, "POST /sessions", "", "{").await.0, 400);
    assert_eq!(
        request(to, "POST /sessions", "", r#"{"task": "none"}"#)
            .await
            .0,
        404
    );
    let foreign = "Origin: https://example.org\r\n";
    assert_eq!(request(to, "GET /tasks", foreign, "").await.0, 403);
    let path = "POST /sessions/00000000000000000000000000000000/verify";
    assert_eq!(request(to, path, "", "").await.0, 404);
    let begin = json!({"task": tasks[2].id}).to_string();
    let (_, opened) = request(to, "POST /sessions", "", &begin).await;
    let verify = format!(
        "POST /sessions/{}/verify",
        opened["session"].as_str().unwrap()
    );
    let (status, body) = request(to, &verify, "", "").await;
    assert_eq!((status, &body["error"]["code"]), (500, &json!("stopped")));
    assert!(body.get("reward").is_none());
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.push(request(to, "GET /tasks", "", "").await.0);
    }
    assert!(
        statuses.contains(&429) && statuses.contains(&200),
        "{statuses:?}"
    );
}
