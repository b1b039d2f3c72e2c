//! The engine on Monty. Programs are compiled once and run many times, each time in a fresh interpreter.

use std::borrow::Cow;
use std::collections::HashMap;

use monty::{MontyRun, RunProgress};
use monty_types::{
    CallArgs, CompileOptions, DateTimeSource, ExcType, ExtFunctionResult, MontyException,
    MontyObject, NameLookupResult, OsPolicy, PrintWriter, PrintWriterCallback, RandomSeed,
    RandomStart, ResourceLimits, ResourceTracker, SleepMode,
};
use serde_json::Value;

use super::convert::{to_json, to_python};
use super::{Engine, Host, Run};
use crate::{KillReason, Limits, Outcome};

const KEPT_PROGRAMS: usize = 512;
const INPUT: &str = "_agoge_input";
const RESULT: &str = "_agoge_result";

/// The engine. See the module.
#[derive(Debug, Default)]
pub struct Monty {
    compiled: HashMap<String, MontyRun>,
}

impl Engine for Monty {
    fn run(&mut self, run: &Run<'_>, host: &mut dyn Host, limits: &Limits) -> Outcome {
        let program = match program(run) {
            Ok(program) => program,
            Err(name) => return unnamed(name),
        };
        let inputs = vec![to_python(run.arguments)];
        let run = match self.compile(program) {
            Ok(run) => run,
            Err(exception) => return raised(&exception),
        };
        let memory = usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX);
        if monty_alloc::set_hard_limit(Some(memory)).is_err() {
            // Without the limiting allocator (a unit test) the process's address space is the only bound.
        }
        let mut printed = Printed {
            bytes: 0,
            limit: limits.output_bytes,
            flooded: false,
        };
        let outcome = drive(run, inputs, host, limits, &mut printed);
        match outcome {
            Outcome::Killed(_) => outcome,
            _ if printed.flooded => Outcome::Killed(KillReason::Output),
            Outcome::Value(value) if value.to_string().len() as u64 > limits.output_bytes => {
                Outcome::Killed(KillReason::Output)
            }
            outcome => outcome,
        }
    }
}

/// The program with its calls at the end, or the name that is no function's.
fn program<'a>(run: &Run<'a>) -> Result<String, &'a str> {
    let is_name = |name: &str| {
        !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    let names = [Some(run.function), run.then];
    if let Some(name) = names.into_iter().flatten().find(|name| !is_name(name)) {
        return Err(name);
    }
    let stars = if run.by_name { "**" } else { "*" };
    let (source, function) = (run.source, run.function);
    Ok(match run.then {
        None => format!("{source}\n\n{function}({stars}{INPUT})"),
        Some(then) => {
            format!("{source}\n\n{RESULT} = {function}({stars}{INPUT})\n{then}()\n{RESULT}")
        }
    })
}

fn unnamed(name: &str) -> Outcome {
    Outcome::Raised {
        kind: "NameError".into(),
        message: format!("{name:?} is not the name of a function"),
        line: None,
    }
}

impl Monty {
    /// Lets the interpreter ask for the bounds of the stack, which it does in its first run and the filter does not let through.
    pub fn warm(&mut self) {
        if let Ok(mut run) = self.compile("1".to_owned()) {
            let _ = run.run_no_limits(vec![MontyObject::none()]);
        }
    }

    fn compile(&mut self, program: String) -> Result<MontyRun, MontyException> {
        if let Some(run) = self.compiled.get(&program) {
            return Ok(run.clone());
        }
        let run = MontyRun::new(
            program.clone(),
            "program.py",
            vec![INPUT.to_owned()],
            CompileOptions::default(),
        )?
        .with_os_policy(policy());
        if self.compiled.len() >= KEPT_PROGRAMS {
            self.compiled.clear();
        }
        self.compiled.insert(program, run.clone());
        Ok(run)
    }
}

/// Nothing comes from outside the run: there is no clock but `now()`, nothing sleeps, and random numbers are the same each time.
fn policy() -> OsPolicy {
    OsPolicy {
        datetime: DateTimeSource::CallHost,
        sleep: SleepMode::CallHost,
        random_start: RandomStart::Seed(RandomSeed::Int(0.into())),
        ..OsPolicy::default()
    }
}

fn drive(
    run: MontyRun,
    inputs: Vec<MontyObject>,
    host: &mut dyn Host,
    limits: &Limits,
    printed: &mut Printed,
) -> Outcome {
    let bounds = ResourceLimits::default()
        .max_feed_duration(limits.clock())
        .max_suspensions(usize::MAX)
        .max_memory(usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX))
        .max_recursion_depth(limits.recursion as usize);
    let mut host_calls = 0;
    let mut progress = run.start(
        inputs,
        ResourceTracker::new(bounds),
        PrintWriter::Callback(printed),
    );
    loop {
        let paused = match progress {
            Ok(paused) => paused,
            Err(exception) => return ended(&exception),
        };
        progress = match paused {
            RunProgress::Complete(value) => {
                return match to_json(value.as_ref()) {
                    Ok(value) => Outcome::Value(value),
                    Err(message) => Outcome::Raised {
                        kind: "TypeError".into(),
                        message,
                        line: None,
                    },
                };
            }
            RunProgress::NameLookup(lookup) => {
                let known = lookup.object_id().is_none() && host.has(&lookup.name);
                let name = lookup.name.clone();
                let answer = match known {
                    true => NameLookupResult::Value(MontyObject::function(name, None)),
                    false => NameLookupResult::Undefined,
                };
                lookup.resume(answer, PrintWriter::Callback(printed))
            }
            RunProgress::FunctionCall(call) => {
                host_calls += 1;
                if host_calls > limits.host_calls {
                    return Outcome::Killed(KillReason::HostCalls);
                }
                let answer = answer(host, &call.function_name, &call.args);
                call.resume(answer, PrintWriter::Callback(printed))
            }
            RunProgress::OsCall(call) => {
                let refusal = call.function_call.on_no_handler();
                call.resume(refusal, PrintWriter::Callback(printed))
            }
            RunProgress::ResolveFutures(futures) => {
                let refusal = MontyException::new(
                    ExcType::RuntimeError,
                    Some("nothing here can be awaited".into()),
                );
                futures.abort(refusal, PrintWriter::Callback(printed))
            }
        };
    }
}

fn answer(host: &mut dyn Host, name: &str, arguments: &CallArgs) -> ExtFunctionResult {
    if !host.has(name) {
        let known = host.names().join(", ");
        let message =
            format!("there is no function `{name}` here; the data are reached by {known}");
        return raise(ExcType::NameError, message);
    }
    if arguments.kwargs().len() > 0 {
        return refuse(format!("{name} takes its arguments by position"));
    }
    let arguments: Result<Vec<Value>, String> = arguments.args().map(to_json).collect();
    match arguments.and_then(|arguments| host.call(name, &arguments)) {
        Ok(value) => ExtFunctionResult::Return(to_python(&value)),
        Err(message) => refuse(message),
    }
}

fn refuse(message: String) -> ExtFunctionResult {
    raise(ExcType::ValueError, message)
}

fn raise(kind: ExcType, message: String) -> ExtFunctionResult {
    ExtFunctionResult::Error(MontyException::new(kind, Some(message)))
}

/// A run that ended by an exception: over a limit, or a raise of its own.
fn ended(exception: &MontyException) -> Outcome {
    let message = exception.message().unwrap_or_default();
    match exception.exc_type() {
        ExcType::RecursionError => Outcome::Killed(KillReason::Recursion),
        ExcType::MemoryError => Outcome::Killed(KillReason::Memory),
        _ if message.contains("time limit exceeded: ") => Outcome::Killed(KillReason::Time),
        _ => raised(exception),
    }
}

fn raised(exception: &MontyException) -> Outcome {
    let kind: &'static str = exception.exc_type().into();
    Outcome::Raised {
        kind: kind.to_owned(),
        message: exception
            .message()
            .unwrap_or_default()
            .chars()
            .take(2000)
            .collect(),
        line: exception.traceback().last().map(|frame| frame.start.line),
    }
}

/// Counts what is printed and keeps none of it.
struct Printed {
    bytes: u64,
    limit: u64,
    flooded: bool,
}

impl Printed {
    fn count(&mut self, bytes: usize) -> Result<(), MontyException> {
        self.bytes += bytes as u64;
        if self.bytes > self.limit {
            self.flooded = true;
            return Err(MontyException::new(
                ExcType::RuntimeError,
                Some("too much output".into()),
            ));
        }
        Ok(())
    }
}

impl PrintWriterCallback for Printed {
    fn stdout_write(&mut self, output: Cow<'_, str>) -> Result<(), MontyException> {
        self.count(output.len())
    }

    fn stdout_push(&mut self, end: char) -> Result<(), MontyException> {
        self.count(end.len_utf8())
    }
}
