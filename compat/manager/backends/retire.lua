-- Strike a server out whose connections are forgotten; needs the key of the servers alone.
-- ARGV: prefix, server, 1 if whatever its lease says. Returns 1 if it is no longer among them, else 0.
if ARGV[3] ~= '1' and lives(ARGV[2], now_ms()) then
  return 0
end
redis.call('ZREM', SERVERS, ARGV[2])
return 1
