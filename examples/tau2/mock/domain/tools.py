"""Task list. Own code, written from the observed behaviour of tau2-bench's mock domain."""
from typing import Literal


def _one(collection, what, record_id):
    found = db_get(collection, record_id)
    if found is None:
        raise ValueError(f"{what} {record_id} not found")
    return found


def create_task(user_id: str, title: str, description: str | None = None) -> dict:
    """Create a task for a user.

    Args:
        user_id: For example 'user_7'.
        title: A short title.
        description: More about it, where there is more to say.
    """
    user = _one("users", "User", user_id)
    task_id = f"task_{len(db_ids('tasks')) + 1}"
    task = {"task_id": task_id, "title": title, "description": description, "status": "pending"}
    db_put("tasks", task_id, task)
    user["tasks"].append(task_id)
    db_put("users", user_id, user)
    return task


def get_users() -> list:
    """Get all users."""
    return [db_get("users", user_id) for user_id in db_ids("users")]


def update_task_status(task_id: str, status: Literal["pending", "completed"]) -> dict:
    """Set the status of a task.

    Args:
        task_id: For example 'task_7'.
        status: The new status.
    """
    task = _one("tasks", "Task", task_id)
    task["status"] = status
    db_put("tasks", task_id, task)
    return task


def transfer_to_human_agents(summary: str) -> str:
    """Hand the user over to a person.

    Args:
        summary: The request so far, in a few sentences.
    """
    return "Transfer successful"


# Functions that only tasks call.

def _assert_number_of_tasks(user_id, expected_number):
    user = _one("users", "User", user_id)
    return len(user["tasks"]) == expected_number


def _assert_task_status(task_id, expected_status):
    task = _one("tasks", "Task", task_id)
    return task["status"] == expected_status
