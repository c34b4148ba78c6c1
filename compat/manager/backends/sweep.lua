-- Forget connections of a server whose lease has ended (or that says itself that it ends).
-- ARGV: prefix, server, how many at most, 1 if whatever its lease says.
-- Returns {connections forgotten, users that have none left, connections that are left, 1 if it was dead}.
local server, limit = ARGV[2], tonumber(ARGV[3])
local until_ms = redis.call('ZSCORE', SERVERS, server)
if ARGV[4] ~= '1' and until_ms and tonumber(until_ms) >= now_ms() then
  return {0, 0, 0, 0}
end
local connections, users = 0, 0
for _, id in ipairs(redis.call('SPOP', P .. 'server:' .. server, limit)) do
  local record = redis.call('HGET', CONNECTIONS, id)
  if record and cjson.decode(record).s == server then
    local known, last_of_user = forget(id)
    connections, users = connections + known, users + last_of_user
  end
end
local left = redis.call('SCARD', P .. 'server:' .. server)
if left == 0 then
  redis.call('ZREM', SERVERS, server)
  redis.call('HDEL', REPORTS, server)
end
return {connections, users, left, 1}
