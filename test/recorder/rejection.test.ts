import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import test, { type TestContext } from 'node:test'
import type { Diagnosis } from '../../src/recorder/ffmpeg-diagnosis.ts'
import { explainRejection } from '../../src/recorder/rejection.ts'
import { startTlsFront } from '../support/tls-front.ts'
import { never } from '../uploader/workbench.ts'

const rejected: Diagnosis = { kind: 'rejected', text: 'rejected' }
const md5 = 'Digest realm="cam", nonce="1"'
const sha256 = 'Digest realm="cam", nonce="1", algorithm=SHA-256'

/** A camera that answers 401 to all, and keeps what it was asked. */
async function cameraAsking(t: TestContext, ...challenges: string[]) {
  const requests: string[] = []
  const headers = challenges.map((challenge) => `WWW-Authenticate: ${challenge}\r\n`)
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (request) => {
      requests.push(request.toString())
      socket.write(`RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\n${headers.join('')}\r\n`)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return { requests, port: (server.address() as AddressInfo).port }
}

async function explained(url: string, diagnosis = rejected): Promise<string> {
  const camera = { number: 1, name: 'Front', url, transport: 'tcp', audio: 'auto' } as const
  return (await explainRejection(camera, diagnosis, never)).text
}

test('a camera whose last digest is SHA-256 is said to ask for it, whatever it is asked over', async (t) => {
  const { port, requests } = await cameraAsking(t, md5, sha256)
  const tlsPort = await startTlsFront(t, port)
  for (const url of [
    `rtsp://admin:seCret@127.0.0.1:${port}/live?user=admin&password=seCret`,
    `http://admin:seCret@127.0.0.1:${port}/flv?user=admin&password=seCret`,
    `rtsps://admin:seCret@127.0.0.1:${tlsPort}/live`,
  ])
    assert.match(await explained(url), /asks for a SHA-256 digest/, url)
  assert.match(requests[0] ?? '', /^DESCRIBE rtsp:\/\/127\.0\.0\.1:\d+\/live RTSP\/1\.0\r\n/)
  assert.match(requests[1] ?? '', /^GET \/flv HTTP\/1\.1\r\n/)
  assert.ok(!requests.join('').includes('seCret'))
})

test('one that FFmpeg can answer, or that says nothing, is left at its rejection', async (t) => {
  const asksMd5 = await cameraAsking(t, sha256, md5)
  assert.equal(await explained(`rtsp://a:b@127.0.0.1:${asksMd5.port}/live`), 'rejected')
  const asksBasic = await cameraAsking(t, 'Basic realm="cam"')
  assert.equal(await explained(`rtsp://a:b@127.0.0.1:${asksBasic.port}/live`), 'rejected')
  assert.equal(await explained('rtsp://a:b@127.0.0.1:1/live'), 'rejected')
  assert.equal(await explained('rtmp://a:b@127.0.0.1:1/live'), 'rejected')
})

test('a user and a password that are longer than FFmpeg passes on are said to be, over RTSP', async (t) => {
  const { port } = await cameraAsking(t, md5)
  const url = (length: number): string =>
    `rtsp://admin:${'p'.repeat(length - 6)}@127.0.0.1:${port}/`
  assert.match(await explained(url(128)), /CAMERA_1_URL have 128 .* the first 127 .*shorter/)
  assert.equal(await explained(url(127)), 'rejected')
})

test('what is no rejection is neither asked about nor changed', async (t) => {
  const { port, requests } = await cameraAsking(t, sha256)
  const other: Diagnosis = { kind: 'refused', text: 'refused' }
  assert.equal(await explained(`rtsp://a:b@127.0.0.1:${port}/live`, other), 'refused')
  assert.deepEqual(requests, [])
})
