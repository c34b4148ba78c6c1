-- Deletes an entry of a history, or all of it; returns how many entries there were.
-- KEYS: the stream, its position
-- ARGV: the offset ('': all), the epoch in which it has that offset
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch or (ARGV[1] ~= '' and epoch ~= ARGV[2]) then return 0 end
local forgotten
if ARGV[1] == '' then
  forgotten = redis.call('XLEN', KEYS[1])
  redis.call('DEL', KEYS[1])
else
  forgotten = redis.call('XDEL', KEYS[1], ARGV[1] .. '-0')
end
if forgotten > 0 then redis.call('HINCRBY', KEYS[2], 'forgets', 1) end
return forgotten
