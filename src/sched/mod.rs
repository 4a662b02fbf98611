//! Workers, deques, sleeping: generic over the task.
