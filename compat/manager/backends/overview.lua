-- Every server: {now in milliseconds, then for each: server, end of its lease, number of connections, report}.
local reply = {now_ms()}
local servers = redis.call('ZRANGE', SERVERS, 0, -1, 'WITHSCORES')
for index = 1, #servers, 2 do
  reply[#reply + 1] = servers[index]
  reply[#reply + 1] = servers[index + 1]
  reply[#reply + 1] = redis.call('SCARD', P .. 'server:' .. servers[index])
  reply[#reply + 1] = redis.call('HGET', REPORTS, servers[index]) or ''
end
return reply
