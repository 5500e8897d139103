'use strict'

// What the test files share: a client of the platform named by the environment, and expectations on its answers.
const assert = require('node:assert/strict')
const openwhisk = require('openwhisk')

const apihost = process.env.UPWHISK_TEST_URL
const apiKey = process.env.UPWHISK_TEST_KEY
const RECORD_WITHIN_MS = 30000

const client = (options = {}) => openwhisk({ apihost, api_key: apiKey, ...options })

const ECHO = 'function main(args) { console.log("seen", Object.keys(args).sort().join()); return args }'

// The call must be refused with this status; `text` must be in the message that the client makes of the answer.
async function refused (status, call, text = '') {
  const error = await call().then(
    answer => assert.fail(`expected ${status}, got ${JSON.stringify(answer)}`),
    error => error)
  assert.equal(error.name, 'OpenWhiskError', String(error.stack))
  assert.equal(error.statusCode, status, error.message)
  assert.ok(error.message.includes(`Returned HTTP ${status} (`), error.message)
  assert.ok(error.message.includes(text), error.message)
  return error
}

// Records come a little after the answer: asks until it is there.
async function record (ow, activationId) {
  const until = Date.now() + RECORD_WITHIN_MS
  for (;;) {
    try {
      return await ow.activations.get(activationId)
    } catch (error) {
      if (error.statusCode !== 404 || Date.now() > until) throw error
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
}

const annotation = (entity, key) => (entity.annotations.find(each => each.key === key) || {}).value

module.exports = { client, apihost, apiKey, ECHO, refused, record, annotation }
