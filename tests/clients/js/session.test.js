'use strict'

const assert = require('node:assert/strict')
const http = require('node:http')
const { test } = require('node:test')
const { client, apihost, apiKey, ECHO, refused } = require('./common')

test('keys that are wrong, missing or of nobody', async () => {
  const wrong = client({ api_key: `${apiKey.split(':')[0]}:${'x'.repeat(64)}` })
  const error = await refused(401, () => wrong.actions.list())
  assert.match(error.message, /^GET http:.* Returned HTTP 401 \(Unauthorized\) --> "/)
  await refused(401, () => client({ api_key: 'nonsense' }).actions.list())
  await refused(401, () => client({ api_key: '00000000-0000-0000-0000-000000000000:y' }).actions.invoke('a'))
})

test('another namespace is refused', async () => {
  await refused(403, () => client({ namespace: 'somebody' }).actions.list(), 'not authorized')
  await refused(403, () => client().actions.create({ name: '/somebody/a', action: ECHO }))
})

test('the namespace by its name', async () => {
  const named = client({ namespace: 'guest' })
  assert.equal((await named.actions.create({ name: 'named', action: ECHO })).namespace, 'guest')
  assert.equal((await named.actions.get('/guest/named')).name, 'named')
  assert.equal((await named.actions.delete('named')).name, 'named')
})

test('an own agent, retries, a full URL, a header by a plug-in', async () => {
  const agent = new http.Agent({ keepAlive: true })
  const basic = 'Basic ' + Buffer.from(apiKey).toString('base64')
  const clients = [
    client({ agent }),
    client({ retry: { retries: 1 } }),
    client({ apihost: undefined, api: `${apihost}/api/v1` }),
    client({ api_key: undefined, auth_handler: { getAuthHeader: () => Promise.resolve(basic) } })
  ]
  for (const each of clients) assert.deepEqual(await each.namespaces.list(), ['guest'])
  agent.destroy()
  await refused(401, () => client({ api_key: undefined, auth_handler: { getAuthHeader: () => Promise.resolve('Bearer zz') } }).namespaces.list())
})

test('no user agent', async () => {
  // This version of the package names the header with the value undefined, which Node refuses before it sends anything.
  // What it means to ask for is asked without it.
  await assert.rejects(client({ noUserAgent: true }).namespaces.list(), /Invalid value "undefined" for header/)
  const headers = { Authorization: 'Basic ' + Buffer.from(apiKey).toString('base64') }
  const status = await new Promise((resolve, reject) => {
    http.get(`${apihost}/api/v1/namespaces`, { headers, agent: false }, answer => resolve(answer.resume().statusCode)).on('error', reject)
  })
  assert.equal(status, 200)
})

test('an error text', async () => {
  const error = await refused(404, () => client().actions.get('nowhere'))
  assert.match(error.message,
    /^GET http:\/\/.*\/api\/v1\/namespaces\/_\/actions\/nowhere\?? Returned HTTP 404 \(Not Found\) --> "The requested resource does not exist\."$/)
  assert.equal(error.error.error, 'The requested resource does not exist.')
  assert.equal(typeof error.error.code, 'string')
})

test('bodies that are refused', async () => {
  const ow = client()
  await refused(400, () => ow.actions.create({ name: 'kindless', action: 'x', kind: 'cobol:1959' }), 'cobol:1959')
  await refused(400, () => ow.actions.create({ name: 'greedy', action: ECHO, limits: { memory: 1 } }))
  await refused(400, () => ow.actions.create({ name: 'odd', action: { exec: 5 } }))
  await refused(413, () => ow.actions.create({ name: 'huge', action: '/'.repeat(49 * 1024 * 1024) }))
  assert.throws(() => ow.actions.create({ name: 'none' }), /Missing mandatory action or sequence/)
})

test('a client inside an action calls the platform', async () => {
  const ow = client()
  await ow.actions.create({ name: 'callee', action: 'const main = ({ n }) => ({ n: n * 2 })' })
  const action = `async function main ({ n }) {
    const url = process.env.__OW_API_HOST + '/api/v1/namespaces/' + process.env.__OW_NAMESPACE + '/actions/callee?blocking=true&result=true'
    const Authorization = 'Basic ' + Buffer.from(process.env.__OW_API_KEY).toString('base64')
    const answer = await fetch(url, { method: 'POST', headers: { Authorization, 'Content-Type': 'application/json' }, body: JSON.stringify({ n }) })
    return { status: answer.status, body: await answer.json() }
  }`
  await ow.actions.create({ name: 'caller', action, annotations: { 'provide-api-key': true } })
  const answer = await ow.actions.invoke({ name: 'caller', blocking: true, result: true, params: { n: 21 } })
  assert.deepEqual(answer, { status: 200, body: { n: 42 } })
})
