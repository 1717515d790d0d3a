import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import test, { type TestContext } from 'node:test'
import { atEnd } from '../support/at-end.ts'
import { canaryWord } from '../support/canaries.ts'
import { startInstallation, until } from './installation.ts'

interface Hook {
  url: string
  /** The bodies of what was posted, and the paths of what was asked for. */
  posts: { text: string; content: string }[]
  beats: string[]
  /** How the next posts are answered. */
  status: number
}

async function startHook(t: TestContext): Promise<Hook> {
  const hook: Hook = { url: '', posts: [], beats: [], status: 200 }
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      if (request.method === 'GET') hook.beats.push(request.url ?? '')
      else if (hook.status === 200) hook.posts.push(JSON.parse(body) as Hook['posts'][0])
      response.writeHead(request.method === 'GET' ? 200 : hook.status).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(t, async () => {
    server.close()
    server.closeAllConnections()
    return Promise.resolve()
  })
  hook.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return hook
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const piece of request.setEncoding('utf8')) text += piece as string
  return text
}

test('somebody is told when a camera or a daemon is gone, and when it is back; the heart beats while all is well', async (t) => {
  const hook = await startHook(t)
  const beatPath = `/beat/${canaryWord()}`
  const { installation, camera, s3 } = await startInstallation(t, {
    ALERT_WEBHOOK_URL: `${hook.url}/hook?token=${canaryWord()}`,
    HEARTBEAT_URL: `${hook.url}${beatPath}`,
    ALERT_AFTER_SECONDS: 4,
    ALERT_UPLOAD_LAG_MINUTES: 0.1,
    SEGMENT_DURATION: 2,
  })
  await installation.run('start.sh')
  await until(30_000, 'the heart beats', () => hook.beats.length > 0)
  assert.deepEqual(hook.beats, [beatPath])
  const texts = (): string[] => hook.posts.map(({ text }) => text)
  const told = async (withinMs: number, pattern: RegExp): Promise<void> =>
    until(withinMs, pattern.source, () => texts().some((text) => pattern.test(text))).catch(() =>
      assert.fail(`${pattern.source} in:\n${texts().join('\n')}`),
    )
  await installation.run('restart.sh')
  await until(60_000, 'the heart beats after a restart', () => hook.beats.length > 1)
  assert.deepEqual(texts(), [], 'nobody is told of a restart')

  hook.status = 500
  await camera.close()
  await until(30_000, 'that it cannot be told is in the status', async () => {
    const { recorder } = await installation.report()
    return (
      recorder.status?.alertProblems?.[0]?.includes('HTTP 500: look at ALERT_WEBHOOK_URL') ?? false
    )
  })
  hook.status = 200
  await told(30_000, /: camera Front: not recording: .*refuses the connection.* \(for \d+ s\)$/)
  assert.ok(texts().every((text) => text.startsWith(`${hostname()}: `)))
  assert.deepEqual(hook.posts[0], { text: texts()[0], content: texts()[0] })

  process.kill(await installation.keepAlivePid('uploader'), 'SIGKILL')
  process.kill(await installation.pid('uploader'), 'SIGKILL')
  await told(30_000, /: the uploader: gone, or it hangs: no sign of life \(for \d+ s\)/)
  await installation.run('start.sh')
  await told(120_000, /: the uploader: well again, after \d+ s$/)
  assert.equal(texts().length, 3, texts().join('\n'))
  await s3.close()
})
