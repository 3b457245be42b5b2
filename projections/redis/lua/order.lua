-- What our values end with is fixed, so that neither JSON nor numbers have to be
-- decoded: ,"schema":N,"order":"33 digits"} or, signed, …,"mac":"44 characters"}.
-- Within a JSON string, quotes are escaped: nothing there looks like it.
local function ending(value)
  local schema, order, rest = string.match(string.sub(value, -120), ',"schema":(%d+),"order":"([%da-z]+)"(.*)$')
  if schema and #order == 33 and #schema <= 6 and (rest == '}' or string.find(rest, '^,"mac":"[%w+/=]+"}$')) then
    return tonumber(schema), order
  end
end

-- compare returns below, at or above zero, as order a is older, equal or newer.
-- Nine digits at a time are exact numbers; as text, the server's locale decides.
local function compare(a, b)
  for i = 1, 33, 9 do
    local x, y = string.sub(a, i, i + 8), string.sub(b, i, i + 8)
    if x ~= y then return tonumber(x, 36) - tonumber(y, 36) end
  end
  return 0
end

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- held returns what the key holds: false if nothing, nil if it is no string.
local function held(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'table' then
    if string.find(value.err, 'WRONGTYPE', 1, true) then return nil end
    error(value.err)
  end
  return value
end
