//! The `agoge-sandbox` process: takes its data, confines itself, then runs one program at a time until its input ends.

#![forbid(unsafe_code)]

mod confine;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use agoge_sandbox::engine::{CheckData, Engine, Monty, Run, ToolData};
use agoge_sandbox::protocol::{Reply, Request, read, write};
use agoge_sandbox::{Limits, Outcome, Overlay, State, processor_time};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: monty_alloc::LimitedAllocator = monty_alloc::LimitedAllocator;

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some() {
        eprintln!(
            "agoge-sandbox is started by its client, which talks to it over stdin and stdout; it takes no arguments"
        );
        return ExitCode::from(2);
    }
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let Some(Request::Init {
        state,
        shapes,
        schema,
        tools,
        limits,
    }) = read(&mut input)?
    else {
        return refuse(&mut output, "the first frame must be `init`".into());
    };
    let state = match State::shaped(state, shapes) {
        Ok(state) => state,
        Err(error) => return refuse(&mut output, error.to_string()),
    };
    // The clock is looked up at its first use, by system calls that the filter does not let through.
    let _ = processor_time();
    let mut engine = Monty::default();
    engine.warm();
    if let Err(error) = confine::confine(&limits) {
        return refuse(&mut output, error);
    }
    write(&mut output, &Reply::Ready)?;
    let served = Served {
        state,
        schema,
        tools,
        limits,
    };
    while let Some(request) = read(&mut input)? {
        let reply = served.answer(&mut engine, request);
        write(&mut output, &reply)?;
    }
    Ok(())
}

/// The content of the first frame.
struct Served {
    state: State,
    schema: Option<Value>,
    tools: String,
    limits: Limits,
}

impl Served {
    fn answer(&self, engine: &mut Monty, request: Request) -> Reply {
        let limits = &self.limits;
        let begun = processor_time();
        match request {
            Request::Init { .. } => Reply::Refused("`init` comes once".into()),
            Request::Call {
                overlay,
                now,
                function,
                arguments,
                then,
            } => {
                let mut host = ToolData {
                    base: &self.state,
                    schema: self.schema.as_ref(),
                    overlay,
                    now: &now,
                    reads: 0,
                };
                let run = Run {
                    source: &self.tools,
                    function: &function,
                    arguments: &Value::Object(arguments),
                    by_name: true,
                    then: then.as_deref(),
                };
                let outcome = engine.run(&run, &mut host, limits);
                let ToolData { overlay, reads, .. } = host;
                done(limits, begun, outcome, Some(overlay), reads)
            }
            Request::Check {
                source,
                function,
                initial,
                last,
                calls,
                messages,
                now,
            } => {
                let mut host = CheckData {
                    base: &self.state,
                    schema: self.schema.as_ref(),
                    initial: &initial,
                    last: &last,
                    now: &now,
                };
                let run = Run {
                    source: &source,
                    function: &function,
                    arguments: &json!([calls, messages]),
                    by_name: false,
                    then: None,
                };
                let outcome = engine.run(&run, &mut host, limits);
                done(limits, begun, outcome, None, 0)
            }
        }
    }
}

/// The reply of a run that began at this processor time. Only a call that returned leaves its changes.
fn done(
    limits: &Limits,
    begun: Duration,
    outcome: Outcome,
    overlay: Option<Overlay>,
    reads: u64,
) -> Reply {
    let cpu = processor_time().saturating_sub(begun);
    let outcome = limits.judge(outcome, cpu);
    let overlay = overlay.filter(|_| matches!(outcome, Outcome::Value(_)));
    Reply::Done {
        outcome,
        overlay,
        cpu,
        reads,
    }
}

fn refuse(output: &mut impl Write, reason: String) -> io::Result<()> {
    write(output, &Reply::Refused(reason))
}
