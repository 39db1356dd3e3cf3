"""Dates are those of the run's clock."""
from datetime import date, datetime, timedelta, timezone

now = datetime.now(tz=timezone.utc)
due = datetime.strptime(inputs["due"], "%Y-%m-%d").replace(tzinfo=timezone.utc)
days_left = (due - now).days
handles = [spawn("slow", {"task": t, "seconds": 1500 * i}, timeout=3600) for i, t in enumerate(inputs["tasks"], 1)]
gather(handles)
later = datetime.now(tz=timezone.utc)
result = {
    "days_left": days_left,
    "today": f"{now:%A %d %B %Y}",
    "hours_passed": (later - now) / timedelta(hours=1),
    "weekday": date(2025, 6, 20).isoweekday(),
}
