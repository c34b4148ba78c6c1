-- Add a connection, unless a limit forbids it. ARGV: prefix, id, record, server, user key,
-- limit in total and for the user (-1: none), lease in milliseconds, expiry in seconds.
-- Returns {'ok' or the reason why not, how many there are, how many servers have died and still count, 1 if the
-- server's own lease had ended}.
local _, id, record, server, user, total, per_user, lease, expiry = unpack(ARGV)
local keys = places(server, user)
keys[#keys + 1] = SERVERS
local away = elsewhere(keys)
if away then
  return away
end
local now = now_ms()
local function refused(reason, count)
  return {reason, count, redis.call('ZCOUNT', SERVERS, '-inf', '(' .. now), 0}
end

if redis.call('HEXISTS', CONNECTIONS, id) == 1 then
  return refused('exists', 0)
end
local count = redis.call('HLEN', CONNECTIONS)
if tonumber(total) >= 0 and count >= tonumber(total) then
  return refused('total', count)
end
if user ~= '' and tonumber(per_user) >= 0 then
  local held = redis.call('SCARD', P .. 'user:' .. user)
  if held >= tonumber(per_user) then
    return refused('user', held)
  end
end
enter(id, record, server, user, expiry)
local ended = not lives(server, now)
if ended then
  redis.call('ZADD', SERVERS, now + lease, server)
  last(SERVERS, expiry)
end
return {'ok', count + 1, 0, ended and 1 or 0}
