import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../src/daemon/logger.ts'
import { ProblemLog } from '../../src/daemon/problem-log.ts'
import { Webhook } from '../../src/daemon/webhook.ts'
import { HeldClock, settled } from '../support/held-clock.ts'

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }

async function startHook(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
}

/** A webhook that runs until the test ends. */
function running(t: TestContext, url: string, waiting: string[] = []) {
  const clock = new HeldClock()
  const problems = new ProblemLog(silent, clock)
  const webhook = new Webhook({ url, problems, clock }, waiting)
  const stop = new AbortController()
  const ended = webhook.run(stop.signal)
  t.after(async () => {
    stop.abort()
    await ended
  })
  const problem = async (): Promise<string> => {
    for (;;) {
      const [found] = problems.open
      if (found) return found.text
      await sleep(5)
    }
  }
  return { webhook, clock, problems, problem }
}

test('what is posted comes in its order, what an earlier process had left first', async (t) => {
  const got: unknown[] = []
  const url = await startHook(t, (request, response) => {
    request.setEncoding('utf8').on('data', (text: string) => void got.push(JSON.parse(text)))
    request.on('end', () => response.end())
  })
  const { webhook } = running(t, url, ['of before'])
  webhook.post('one')
  webhook.post('two')
  while (webhook.waiting.length > 0) await sleep(5)
  assert.deepEqual(
    got,
    ['of before', 'one', 'two'].map((text) => ({ text, content: text })),
  )
})

test('what fails is said, kept, and tried again', async (t) => {
  let status = 503
  const url = await startHook(t, (request, response) => {
    request.resume().on('end', () => response.writeHead(status).end())
  })
  const { webhook, clock, problems, problem } = running(t, url)
  webhook.post('one')
  assert.match(await problem(), /alerts cannot be delivered: HTTP 503: look at ALERT_WEBHOOK_URL/)
  assert.deepEqual(webhook.waiting, ['one'])
  status = 200
  await clock.advance(5000)
  while (webhook.waiting.length > 0) await sleep(5)
  assert.deepEqual(problems.open, [])
})

test('one that sends a POST elsewhere has not taken it', async (t) => {
  const methods: (string | undefined)[] = []
  const url = await startHook(t, (request, response) => {
    methods.push(request.method)
    request.resume().on('end', () => response.writeHead(302, { location: '/login' }).end())
  })
  const { webhook, problem } = running(t, url)
  webhook.post('one')
  assert.match(await problem(), /look at ALERT_WEBHOOK_URL/)
  assert.deepEqual([methods, webhook.waiting], [['POST'], ['one']])
})

test('one that is not there is named by what the system calls it', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  const { webhook, problem } = running(t, `http://127.0.0.1:${port}/hook`)
  webhook.post('one')
  assert.match(await problem(), /ECONNREFUSED/)
})

test('one that never answers is given up after ten seconds, and tried again', async (t) => {
  let isSilent = true
  const url = await startHook(t, (_, response) => {
    if (!isSilent) response.end()
  })
  const { webhook, clock, problem } = running(t, url)
  webhook.post('one')
  await settled()
  await clock.advance(10_000)
  assert.match(await problem(), /no answer within 10 s: look at ALERT_WEBHOOK_URL/)
  isSilent = false
  await clock.advance(5000)
  while (webhook.waiting.length > 0) await sleep(5)
})

test('a text is cut to what every service takes; one that is refused does not stop those behind it', async (t) => {
  const got: string[] = []
  const url = await startHook(t, (request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => void (body += text))
    request.on('end', () => {
      const { text } = JSON.parse(body) as { text: string }
      if (text !== 'odd') got.push(text)
      response.writeHead(text === 'odd' ? 400 : 204).end()
    })
  })
  const { webhook } = running(t, url)
  for (const text of ['x'.repeat(2100), 'odd', 'camera Front: not recording']) webhook.post(text)
  while (webhook.waiting.length > 0) await sleep(5)
  assert.deepEqual(got, [`${'x'.repeat(1499)}…`, 'camera Front: not recording'])
})
