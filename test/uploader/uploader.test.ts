import assert from 'node:assert/strict'
import { copyFile, mkdir, readFile, readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import type { UploaderStatus } from '../../src/uploader/upload-status.ts'
import { startDaemon, type RunningDaemon } from '../support/running-daemon.ts'
import { S3Server } from '../support/s3-server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { fragmented, padded } from './workbench.ts'

const name = 'Front_20250125_153045.mp4'
const key = `recordings/2025/01/25/${name}`

function settings(server: S3Server): Record<string, string | number> {
  const { bucket, accessKeyId, secretAccessKey } = server.options
  return {
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    ...{ S3_BUCKET_NAME: bucket, S3_ENDPOINT: server.url, RESCAN_SECONDS: 1 },
  }
}

async function installation(t: TestContext) {
  const server = await S3Server.start()
  t.after(async () => server.close())
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'recordings'))
  const start = async (more: Record<string, string | number> = {}): Promise<RunningDaemon> =>
    startDaemon(t, 'uploader', folder, { ...settings(server), ...more })
  const path = join(folder, 'recordings', name)
  await copyFile(await fragmented(), path)
  return { server, folder, start, path }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

describe('the uploader', { concurrency: true }, () => {
  test('killed between upload and proof, it ships everything once after a restart', async (t) => {
    const { server, folder, start } = await installation(t)
    const first = await start()
    server.options.onRequest = ({ method }) => {
      if (method === 'HEAD' && server.objects.has(key)) first.process.kill('SIGKILL')
    }
    await first.ended
    delete server.options.onRequest
    const second = await start()
    await second.line(/moved to uploaded/)
    assert.equal(await second.stop(), 0)
    assert.deepEqual([...server.objects.keys()], [key])
    assert.deepEqual(await server.content(key), await readFile(join(folder, 'uploaded', name)))
    const ledger = await readFile(join(folder, 'data', 'ledger', '2025-01-25.ndjson'), 'utf8')
    assert.equal(ledger.trim().split('\n').length, 1)
  })

  test('it ships a segment within 5 s, and says how it is', async (t) => {
    const { folder, start } = await installation(t)
    const daemon = await start({ LOG_LEVEL: 'DEBUG' })
    await daemon.line(/uploader started/)
    const startedMs = performance.now()
    await daemon.line(/moved to uploaded/)
    assert.ok(performance.now() - startedMs < 5000)
    const statusFile = join(folder, 'data', 'status', 'uploader.json')
    let status: UploaderStatus
    do {
      await new Promise((resolve) => setTimeout(resolve, 100))
      status = JSON.parse(await readFile(statusFile, 'utf8')) as UploaderStatus
    } while (!status.lastUpload)
    assert.equal(status.store.state, 'ok')
    assert.deepEqual([status.waiting, status.inFlight, status.failed], [0, [], []])
    assert.equal(status.lastUpload.key, key)
    assert.equal(status.uploadedToday.count, 1)
    assert.ok((status.freeBytes ?? 0) > 0)
    assert.equal(await daemon.stop(), 0)
  })

  test('a store that is away is said once, and what waits is shipped when it is back', async (t) => {
    const { server: away, folder, start } = await installation(t)
    const port = await freePort()
    const daemon = await start({ S3_ENDPOINT: `http://127.0.0.1:${port}` })
    await daemon.line(/WARNING.*uploads wait: The store cannot be reached/)
    const { accessKeyId, secretAccessKey } = away.options
    const server = await S3Server.start({ accessKeyId, secretAccessKey }, port)
    t.after(async () => server.close())
    await daemon.line(/the store (works again|answers)/)
    await daemon.line(/moved to uploaded/)
    assert.equal(daemon.lines.filter((line) => /uploads wait/.test(line)).length, 1)
    assert.deepEqual(await readdir(join(folder, 'uploaded')), [name])
    assert.equal(await daemon.stop(), 0)
  })

  test('a configuration that cannot work ends with 78', async (t) => {
    const { start } = await installation(t)
    const daemon = await start({ S3_BUCKET_NAME: '', UPLOAD_CONCURRENCY: 'many' })
    assert.equal(await daemon.ended, 78)
    assert.match(daemon.lines.join('\n'), /S3_BUCKET_NAME: not set[^]*UPLOAD_CONCURRENCY/)
  })

  test('asked to stop with parts under way, it aborts them in time', async (t) => {
    const { server, start, path } = await installation(t)
    await padded(path, 70 << 20)
    let hold: () => void = () => {}
    const held = new Promise<void>((resolve) => (hold = resolve))
    t.after(() => hold())
    server.options.onRequest = async ({ query }) => {
      if (query.get('partNumber') !== '4') return
      daemon.process.kill('SIGTERM')
      await held
    }
    const daemon = await start()
    await daemon.line(/uploader stopping/)
    const startedMs = performance.now()
    assert.equal(await daemon.ended, 0)
    assert.ok(performance.now() - startedMs < 8500)
    assert.equal(server.uploads.size, 0)
    assert.deepEqual(await readdir(join(path, '..')), [name, 'open'])
  })
})
