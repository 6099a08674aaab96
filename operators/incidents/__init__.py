"""Find the common cause behind many alarms."""
