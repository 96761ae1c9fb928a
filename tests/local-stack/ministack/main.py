"""MiniStack, with the redrives and time-outs that its Step Functions lacks.

This program replaces the `ministack` command. It differs in four ways:

- It stops, with the functions that it runs, when the program that started it has ended.
- `RedriveExecution` restarts an execution that failed, timed out or was stopped. It continues from the
  state that did not finish, with the same definition, input and variables.
- The `TimeoutSeconds` of a state machine ends an execution as `TIMED_OUT`. It is scaled by
  `SFN_WAIT_SCALE`, as waits are, and a redrive resets it.
- Descriptions, lists, the context object and status events report how often and when an execution was
  redriven, and whether it can be redriven.

Source: "Restarting state machine executions with redrive", AWS Step Functions Developer Guide.
"""

import contextvars
import copy
import json
import os
import signal
import threading
import time
from datetime import datetime

from ministack.app import main
from ministack.services import eventbridge
from ministack.services import stepfunctions as sfn

REDRIVABLE = {"FAILED", "TIMED_OUT", "ABORTED"}
STEPS = {
    "Pass": lambda *of: sfn._execute_pass(of[0], of[1], of[3]),
    "Choice": lambda *of: sfn._execute_choice(of[0], of[1], of[3]),
    "Wait": lambda *of: sfn._execute_wait(of[0], of[1], of[3]),
    "Task": lambda *of: sfn._execute_task(*of),
    "Parallel": lambda *of: sfn._execute_parallel(*of),
    "Map": lambda *of: sfn._execute_map(*of),
}
# Only one thread can end an execution.
ending = threading.Lock()


def run_execution(arn):
    """Runs an execution that has just been started."""
    execution = sfn._executions[arn]
    machine = sfn._state_machines[execution["stateMachineArn"]]
    execution["definition"] = json.loads(machine["definition"])
    # Wait as long as MiniStack does, so that callers first see the execution as RUNNING.
    time.sleep(0.15)
    start = (execution["definition"]["StartAt"], json.loads(execution["input"]), {})
    run_from(execution, *start, is_redrive=False)


def run_from(execution, state, value, variables, is_redrive):
    """Runs an execution from one of its states to its end."""
    timer = start_timer(execution)
    try:
        output = walk(execution, state, value, variables, is_redrive)
        end(execution, "Succeeded", output=output)
    except sfn._ExecutionError as failure:
        end(execution, "Failed", error=failure.error, cause=failure.cause)
    except Exception as bug:
        sfn.logger.exception("unexpected error in %s", execution["executionArn"])
        end(execution, "Failed", error="States.Runtime", cause=str(bug))
    finally:
        if timer:
            timer.cancel()


def walk(execution, state, value, variables, is_redrive):
    """Runs one state after another. Returns the output of the last one.

    Follows MiniStack's `_run_execution`: Copyright (c) 2026 MiniStack Contributors, MIT License.
    """
    definition = execution["definition"]
    context = context_of(execution, definition, variables)
    while state and execution["status"] == "RUNNING":
        here = definition["States"][state]
        kind = here["Type"]
        execution["resume"] = (state, value, copy.deepcopy(variables))
        context["State"] = {"Name": state, "EnteredTime": sfn.now_iso(), "RetryCount": 0}
        if not is_redrive:
            record(execution, f"{kind}StateEntered", "stateEntered", name=state, input=json.dumps(value))
        is_redrive = False
        if kind == "Fail":
            raise sfn._ExecutionError(*sfn._fail_state_error(here, value, context))
        if kind == "Succeed":
            value = sfn._apply_output_path(here, sfn._apply_input_path(here, value, context), context)
            following = None
        else:
            value, following = STEPS[kind](here, value, execution, context)
        record(execution, f"{kind}StateExited", "stateExited", name=state, output=json.dumps(value))
        state = following
    return json.dumps(value)


def context_of(execution, definition, variables):
    """The context object, `$states.context`, with the additional fields that MiniStack keeps in it."""
    redriven = {"RedriveTime": execution["redriveDate"]} if execution.get("redriveDate") else {}
    machine = execution["stateMachineArn"]
    return {
        "QueryLanguage": definition.get("QueryLanguage", "JSONPath"),
        "Execution": {
            "Id": execution["executionArn"],
            "Input": json.loads(execution["input"]),
            "Name": execution["name"],
            "StartTime": execution["startDate"],
            "RedriveCount": execution.get("redriveCount", 0),
            **redriven,
        },
        "StateMachine": {"Id": machine, "Name": machine.rsplit(":", 1)[-1]},
        "variables": variables,
    }


def record(execution, kind, details, **fields):
    sfn._add_event(execution, kind, {f"{details}EventDetails": fields})


def end(execution, how, **details):
    """Ends the execution as `Succeeded`, `Failed` or `TimedOut`, unless it has ended already."""
    with ending:
        if execution["status"] != "RUNNING":
            return
        status = {"TimedOut": "TIMED_OUT"}.get(how, how.upper())
        execution.update(status=status, stopDate=sfn.now_iso(), **details)
        record(execution, f"Execution{how}", f"execution{how}", **details)
        if how == "TimedOut":
            detach(execution)
    sfn._emit_execution_status_event(execution)


def start_timer(execution):
    seconds = execution["definition"].get("TimeoutSeconds")
    if seconds is None:
        return None
    # Copy the context, because MiniStack keeps the request's account and region in context variables.
    run = contextvars.copy_context().run
    timer = threading.Timer(seconds * sfn._SFN_WAIT_SCALE, run, (end, execution, "TimedOut"))
    timer.daemon = True
    timer.start()
    return timer


def detach(execution):
    """Registers a copy of an ended execution, so that threads that still run only change the old object."""
    successor = {**execution, "events": list(execution["events"])}
    sfn._executions[execution["executionArn"]] = successor
    return successor


def stop_execution(data, original=sfn._stop_execution):
    with ending:
        answer = original(data)
        execution = sfn._executions.get(data.get("executionArn"))
        if execution and execution["status"] == "ABORTED":
            detach(execution)
    return answer


def redrive_execution(data):
    execution = sfn._executions.get(data.get("executionArn"))
    if not execution:
        return sfn.error_response_json("ExecutionDoesNotExist", "there is no such execution", 400)
    token = data.get("clientToken")
    with ending:
        if token and token == execution.get("redriveToken"):
            return sfn.json_response({"redriveDate": execution["redriveDate"]})
        if execution["status"] not in REDRIVABLE:
            return sfn.error_response_json("ExecutionNotRedrivable", why(execution), 400)
        execution = detach(execution)
        execution.update(
            status="RUNNING",
            stopDate=None,
            output=None,
            error=None,
            cause=None,
            redriveCount=execution.get("redriveCount", 0) + 1,
            redriveDate=sfn.now_iso(),
            redriveToken=token,
        )
        record(execution, "ExecutionRedriven", "executionRedriven", redriveCount=execution["redriveCount"])
    sfn._emit_execution_status_event(execution)
    run = contextvars.copy_context().run
    arguments = (run_from, execution, *execution["resume"], True)
    threading.Thread(target=run, args=arguments, daemon=True).start()
    return sfn.json_response({"redriveDate": execution["redriveDate"]})


def why(execution):
    can = "is redrivable" if execution["status"] in REDRIVABLE else "cannot be redriven"
    return f"Execution is {execution['status']} and {can}"


def redrives(execution):
    """The fields of the API about an execution's redrives."""
    count = {"redriveCount": execution.get("redriveCount", 0)}
    date = {"redriveDate": execution["redriveDate"]} if execution.get("redriveDate") else {}
    return {**count, **date}


def redrive_status(execution):
    can = execution["status"] in REDRIVABLE
    status = "REDRIVABLE" if can else "NOT_REDRIVABLE"
    reason = {} if can else {"redriveStatusReason": why(execution)}
    return {"redriveStatus": status, **reason}


def describe_execution(data, original=sfn._describe_execution):
    status, headers, body = original(data)
    if status != 200:
        return status, headers, body
    execution = sfn._executions[data["executionArn"]]
    answer = {**json.loads(body), **redrives(execution), **redrive_status(execution)}
    return sfn.json_response(answer)


def list_executions(data, original=sfn._list_executions):
    status, headers, body = original(data)
    if status != 200:
        return status, headers, body
    answer = json.loads(body)
    for listed in answer["executions"]:
        listed.update(redrives(sfn._executions[listed["executionArn"]]))
    return sfn.json_response(answer)


def put_events(data, allow_aws_source=False, original=eventbridge._put_events):
    """Adds the redrives to the status events that MiniStack sends for executions."""
    for entry in data.get("Entries", []):
        if allow_aws_source and entry.get("Source") == "aws.states":
            detail = json.loads(entry["Detail"])
            execution = sfn._executions[detail["executionArn"]]
            date = execution.get("redriveDate")
            redriven = {"redriveCount": execution.get("redriveCount", 0), "redriveDate": millis(date)}
            detail.update(redrive_status(execution), redriveStatusReason=why(execution), **redriven)
            entry["Detail"] = json.dumps(detail)
    return original(data, allow_aws_source)


def millis(date):
    return date and int(datetime.fromisoformat(date.replace("Z", "+00:00")).timestamp() * 1000)


async def handle_request(method, path, headers, body, query, original=sfn.handle_request):
    if headers.get("x-amz-target", "") == "AWSStepFunctions.RedriveExecution":
        return sfn._finalize_response(redrive_execution(json.loads(body)))
    return await original(method, path, headers, body, query)


sfn._run_execution = run_execution
sfn._stop_execution = stop_execution
sfn._describe_execution = describe_execution
sfn._list_executions = list_executions
sfn.handle_request = handle_request
eventbridge._put_events = put_events


def stop_with(parent):
    """Stops this process, and the functions in its process group, once `parent` has ended."""
    while os.getppid() == parent:
        time.sleep(1)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if "APGL_PARENT" in os.environ:
        parent = int(os.environ.pop("APGL_PARENT"))
        threading.Thread(target=stop_with, args=(parent,), daemon=True).start()
    main()
