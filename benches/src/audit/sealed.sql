SELECT coalesce(max(total), 0) FROM audit_seals;
