-- Take out of a group. ARGV: prefix, id, group. Returns 1 if it was a member.
return leave(ARGV[2], ARGV[3])
