-- Sends one message to every live member of a group: one entry per receiving process, with the names of its
-- members appended to the message. Returns {members served, members whose queue is full, members served that
-- are of the sender's own lease}.
-- One round trip; it derives keys from members, so it is for groups and queues that are on one server.
-- KEYS: group, leases
-- ARGV: score, cutoff, expiry in s, group cutoff, prefix, capacity of a plain channel,
--       capacity of a shared queue, head, tail, codec ('msgpack' or 'json'), the sender's lease ('' for none),
--       excluded channels...
local excluded = {}
for i = 12, #ARGV do excluded[ARGV[i]] = true end
local queues, names_of = {}, {}
for _, channel in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[4], '+inf')) do
  if not excluded[channel] then
    local mark = string.find(channel, '!', 1, true)
    local queue = mark and string.sub(channel, 1, mark) or channel
    local names = names_of[queue]
    if names then
      names[#names + 1] = channel
    else
      names_of[queue] = {channel}
      queues[#queues + 1] = queue
    end
  end
end
local now = tonumber(redis.call('TIME')[1])
local pack = ARGV[10] == 'json' and cjson.encode or cmsgpack.pack
local served, full, own = 0, 0, 0
for _, queue in ipairs(queues) do
  local names = names_of[queue]
  local lease = string.match(queue, '([^.]*)!$')
  local ends = lease and redis.call('ZSCORE', KEYS[2], lease)
  if not ends or tonumber(ends) >= now then
    local key = ARGV[5] .. queue
    if redis.call('ZCOUNT', key, '(' .. ARGV[2], '+inf') < tonumber(ARGV[lease and 7 or 6]) then
      -- the first to write: then a Redis without memory refuses
      redis.call('ZADD', key, ARGV[1], ARGV[8] .. pack(names) .. ARGV[9])
      redis.call('ZREMRANGEBYSCORE', key, 0, ARGV[2])
      redis.call('EXPIRE', key, ARGV[3])
      served = served + #names
      if lease == ARGV[11] then own = own + #names end
    else
      full = full + #names
    end
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, ARGV[4])
return {served, full, own}
