-- Every server: {now in milliseconds, then server and end of its lease, for each}; needs the key of the servers.
local reply = redis.call('ZRANGE', SERVERS, 0, -1, 'WITHSCORES')
table.insert(reply, 1, now_ms())
return reply
