-- The servers whose lease has ended, and whose connections still count; needs the key of the servers.
return redis.call('ZRANGEBYSCORE', SERVERS, '-inf', '(' .. now_ms())
