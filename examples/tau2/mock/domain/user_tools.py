"""The notifications of the user."""


def check_notifications() -> list:
    """See your notifications."""
    return [db_get("notifications", i) for i in db_ids("notifications")]


def dismiss_notification(notification_id: str) -> dict:
    """Mark one of your notifications as read.

    Args:
        notification_id: For example 'notif_7'.
    """
    found = _one("notifications", "Notification", notification_id)
    found["status"] = "read"
    db_put("notifications", notification_id, found)
    return found


# Functions that only tasks call.

def _add_notification(notification_id, message, task_id=None):
    db_put("notifications", notification_id, {"notification_id": notification_id, "message": message, "task_id": task_id, "status": "unread"})
    return "ok"


def _assert_notification_status(notification_id, expected_status):
    found = _one("notifications", "Notification", notification_id)
    return found["status"] == expected_status
