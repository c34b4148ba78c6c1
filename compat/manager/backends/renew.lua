-- A server's sign of life; needs the key of the servers alone. ARGV: prefix, server, lease in milliseconds,
-- expiry in seconds.
-- Returns {1 if its lease was running, milliseconds until another server's lease may end (-1: none),
-- the servers whose lease has ended…}.
local _, server, lease, expiry = unpack(ARGV)
local now = now_ms()
local running = lives(server, now)
redis.call('ZADD', SERVERS, now + lease, server)
last(SERVERS, expiry)
local reply = {running and 1 or 0, -1}
for _, other in ipairs(redis.call('ZRANGEBYSCORE', SERVERS, '-inf', '(' .. now)) do
  reply[#reply + 1] = other
end
local following = redis.call('ZRANGEBYSCORE', SERVERS, now, '+inf', 'WITHSCORES', 'LIMIT', 0, 2)
for index = 1, #following, 2 do
  if following[index] ~= server then
    reply[2] = following[index + 1] - now
    break
  end
end
return reply
