"""The notifications of the user."""


def check_notifications() -> list:
    """See your notifications."""
    return [db_get("notifications", i) for i in db_ids("notifications")]


def dismiss_notification(notification_id: str) -> dict:
    """Mark one of your notifications as read.

    Args:
        notification_id: For example 'notif_7'.
    """
    found = db_get("notifications", notification_id)
    if found is None:
        raise ValueError(f"Notification {notification_id} not found")
    found["status"] = "read"
    db_put("notifications", notification_id, found)
    return found


# Functions that only tasks call.

def _add_notification(notification_id, message, task_id=None):
    db_put("notifications", notification_id, {"notification_id": notification_id, "message": message, "task_id": task_id, "status": "unread"})
    return "ok"


def _assert_notification_status(notification_id, expected_status):
    found = db_get("notifications", notification_id)
    if found is None:
        raise ValueError(f"Notification {notification_id} not found")
    return found["status"] == expected_status
