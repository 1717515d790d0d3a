import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, readFile, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { createInterface } from 'node:readline'
import { startRtspCamera } from '../../demo/rtsp-camera.ts'
import type { UploaderStatus } from '../../src/uploader/upload-status.ts'
import { cachedClip } from '../support/clips.ts'
import { startDaemon, type RunningDaemon } from '../support/running-daemon.ts'
import { S3Server } from '../support/s3-server.ts'
import { cannotMount, fillDisk, smallDisk } from '../support/small-disk.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { fragmented, solid } from './workbench.ts'

const megabyte = 1 << 20
const name = 'Front_20250125_153045.mp4'
const key = `recordings/2025/01/25/${name}`

interface Place {
  server: S3Server
  folder: string
  start: (more?: Record<string, string | number>) => Promise<RunningDaemon>
}

async function place(t: TestContext, given?: string): Promise<Place> {
  const server = await S3Server.start()
  t.after(async () => server.close())
  const folder = given ?? (await temporaryFolder(t))
  await mkdir(join(folder, 'recordings'))
  const { bucket, accessKeyId, secretAccessKey } = server.options
  const settings = {
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    ...{ S3_BUCKET_NAME: bucket, S3_ENDPOINT: server.url, RESCAN_SECONDS: 1 },
    MIN_FREE_DISK_GB: 0.000_001,
  }
  const start = async (more: Record<string, string | number> = {}): Promise<RunningDaemon> =>
    startDaemon(t, 'uploader', folder, { ...settings, ...more })
  return { server, folder, start }
}

async function until(
  what: string,
  isSo: () => Promise<boolean>,
  withinMs = 60_000,
): Promise<number> {
  const startedMs = performance.now()
  while (!(await isSo())) {
    assert.ok(performance.now() - startedMs < withinMs, `not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return performance.now() - startedMs
}

async function mp4Of(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((file) => file.endsWith('.mp4')).sort()
}

async function ledgerLines(base: string): Promise<string[]> {
  const text = await readFile(join(base, 'data', 'ledger', '2025-01-25.ndjson'), 'utf8')
  return text.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'))
}

async function statusOf(base: string): Promise<UploaderStatus> {
  return JSON.parse(
    await readFile(join(base, 'data', 'status', 'uploader.json'), 'utf8'),
  ) as UploaderStatus
}

/** The calls of a process that concern names and syncs, in their order. */
async function traced(t: TestContext, pid: number): Promise<string[]> {
  const calls = 'trace=fsync,fdatasync,link,linkat,rename,renameat,renameat2,unlink,unlinkat'
  const strace = spawn('strace', ['-f', '-y', '-s', '300', '-e', calls, '-p', String(pid)])
  t.after(() => strace.kill('SIGKILL'))
  const lines: string[] = []
  const reader = createInterface({ input: strace.stderr })
  reader.on('line', (line) => lines.push(line))
  await once(reader, 'line')
  return lines
}

const onSmallDisk = { skip: cannotMount }

describe('the uploader and its disks', { concurrency: true }, () => {
  test(
    'into uploaded/ on another file system a file is copied, synced, then removed',
    onSmallDisk,
    async (t) => {
      const { server, folder, start } = await place(t, await smallDisk(t, 4, 'uploaded'))
      const uploaded = join(folder, 'uploaded')
      // Else the first file would make room for the second.
      const daemon = await start({ MIN_FREE_DISK_GB: 0 })
      await daemon.line(/uploader started/)
      const calls = await traced(t, daemon.process.pid ?? 0)
      await copyFile(await fragmented(), join(folder, 'recordings', name))
      await daemon.line(/moved to uploaded/)
      const at = (pattern: RegExp): number => calls.findIndex((call) => pattern.test(call))
      const order = [
        at(/fsync\(\d+<[^>]*uploaded\/\.moving-/),
        at(/link(at)?\(.*\.moving-.*uploaded\/Front/),
        at(/fsync\(\d+<[^>]*uploaded>/),
        at(/unlink(at)?\(.*recordings\/Front/),
      ]
      assert.deepEqual(
        order,
        [...order].sort((a, b) => a - b),
        String(order),
      )
      assert.ok(!order.includes(-1), `${String(order)}\n${calls.join('\n')}`)
      assert.deepEqual(await server.content(key), await readFile(join(uploaded, name)))
      assert.deepEqual(await mp4Of(join(folder, 'recordings')), [])

      const empty = fillDisk(uploaded)
      const second = name.replace('153045', '160000')
      await copyFile(await fragmented(), join(folder, 'recordings', second))
      await daemon.line(/uploads wait.*ENOSPC/)
      assert.deepEqual(await mp4Of(join(folder, 'recordings')), [second])
      empty()
      await daemon.line(/160000.*moved to uploaded/, { withinMs: 60_000 })
      assert.deepEqual([server.objects.size, (await ledgerLines(folder)).length], [2, 2])
      assert.equal(await daemon.stop(), 0)
    },
  )

  test(
    'a disk that is full to the last byte: nothing lost, and all goes on when there is room',
    onSmallDisk,
    async (t) => {
      const { server, start } = await place(t)
      const base = await smallDisk(t, 8)
      await mkdir(join(base, 'recordings'))
      const path = join(base, 'recordings', name)
      server.options.onRequest = async ({ method }) => {
        if (method !== 'PUT') return
        // Before the ledger, the move, and whatever is logged from now on; no reserve is left.
        await rm(join(base, 'data', 'ledger.reserve'), { force: true })
        empty = fillDisk(base)
      }
      let empty = (): void => {}
      const daemon = await start({ BASE_DIR: base, LOG_LEVEL: 'DEBUG' })
      await daemon.line(/the store answers/)
      await copyFile(await fragmented(), path)
      await daemon.line(/uploads wait.*ENOSPC/)
      assert.deepEqual([...server.objects.keys()], [key])
      assert.ok((await stat(path)).size > 0)
      // On a full disk the status can't be written, but shows that the uploader lives.
      const status = join(base, 'data', 'status', 'uploader.json')
      const { mtimeMs } = await stat(status)
      await until('the status is touched', async () => (await stat(status)).mtimeMs > mtimeMs)
      empty()
      const ms = await until(
        'moved',
        async () => (await mp4Of(join(base, 'uploaded'))).length === 1,
      )
      t.diagnostic(`shipped ${(ms / 1000).toFixed(1)} s after there was room`)
      assert.deepEqual([server.objects.size, (await ledgerLines(base)).length], [1, 1])
      assert.deepEqual(await server.content(key), await readFile(join(base, 'uploaded', name)))
      await until(
        'the status is written',
        async () => (await statusOf(base)).uploadedToday?.count === 1,
      )
      assert.equal(await daemon.stop(), 0)
      const log = await readFile(join(base, 'data', 'logs', 'uploader.log'), 'utf8')
      assert.match(log, /uploader stopped/)
    },
  )

  test('no room to finalize: shipped as it is', onSmallDisk, async (t) => {
    const { server, start } = await place(t)
    const base = await smallDisk(t, 8)
    await mkdir(join(base, 'recordings'))
    await copyFile(await fragmented(), join(base, 'recordings', name))
    const daemon = await start({ BASE_DIR: base })
    await daemon.line(/not finalized; uploading it as it is.*no room for a copy/)
    await daemon.line(/moved to uploaded/)
    assert.deepEqual(await server.content(key), await readFile(await fragmented()))
    assert.equal(await daemon.stop(), 0)
  })

  test(
    'below the minimum what is in S3 goes early, and the status says so until it is over',
    onSmallDisk,
    async (t) => {
      const { start } = await place(t)
      const disk = await smallDisk(t, 60)
      const files = [1, 2, 3, 4, 5].map((n) => name.replace('153045', `0${n}0000`))
      await mkdir(join(disk, 'recordings'))
      for (const file of files) await solid(join(disk, 'recordings', file), 8 * megabyte)
      const first = await start({ BASE_DIR: disk, MIN_FREE_DISK_GB: 0 })
      await until('all are in S3', async () => (await mp4Of(join(disk, 'recordings'))).length === 0)
      await first.stop()
      const daemon = await start({ BASE_DIR: disk, MIN_FREE_DISK_GB: 0.03 })
      await daemon.line(/WARNING.*free space has fallen below MIN_FREE_DISK_GB/)
      await until('two have gone', async () => (await mp4Of(join(disk, 'uploaded'))).length === 3)
      assert.deepEqual(await mp4Of(join(disk, 'uploaded')), files.slice(2))
      await until('it is said', async () => (await statusOf(disk)).problems?.[0] !== undefined)
      const { problems, freeBytes = 0, minFreeBytes } = await statusOf(disk)
      assert.match(problems.join('\n'), /fallen below MIN_FREE_DISK_GB: uploaded\/ is pruned early/)
      assert.ok(freeBytes >= minFreeBytes && minFreeBytes === 3e7)
      await rm(join(disk, 'uploaded', files[2] ?? ''))
      await daemon.line(/there is room on the disk again/, { withinMs: 60_000 })
      await until('it is over', async () => (await statusOf(disk)).problems?.length === 0)
      assert.equal(await daemon.stop(), 0)
    },
  )

  for (const policy of ['keep', 'drop-oldest'])
    test(`a disk that a camera fills while S3 is away, with ${policy}`, onSmallDisk, async (t) => {
      const { server, folder, start } = await place(t)
      const disk = await smallDisk(t, 24)
      server.options.refuse = () => ({ code: 'SlowDown', status: 503 })
      const camera = await startRtspCamera({ clip: await cachedClip({ videoKbps: 4000 }) })
      t.after(async () => camera.close())
      const common = { BASE_DIR: disk, MIN_FREE_DISK_GB: 0.008, ON_DISK_FULL: policy }
      const uploader = await start(common)
      await mkdir(join(folder, 'recorder'))
      const recorder = await startDaemon(t, 'recorder', join(folder, 'recorder'), {
        ...common,
        ...{ CAMERA_1_URL: camera.url, CAMERA_1_NAME: 'Front', SEGMENT_DURATION: 4 },
      })
      const finished = async (): Promise<string[]> =>
        recorder.lines.flatMap((line) => /segment finished.*file=(\S+?),/.exec(line)?.[1] ?? [])
      if (policy === 'keep') {
        await recorder.line(/WARNING.*the disk is full/, { withinMs: 120_000 })
        assert.deepEqual(
          uploader.lines.filter((line) => /dropped/.test(line)),
          [],
        )
        const waiting = await mp4Of(join(disk, 'recordings'))
        assert.deepEqual(
          (await finished()).filter((file) => !waiting.includes(file)),
          [],
        )
      } else {
        await uploader.line(/ERROR.*dropped, and not in S3/, { withinMs: 120_000 })
        await until('some more are', async () => {
          const lines = uploader.lines.filter((line) => /dropped, and not/.test(line))
          return lines.length >= 4
        })
        assert.deepEqual(
          recorder.lines.filter((line) => /disk is full/.test(line)),
          [],
        )
      }
      delete server.options.refuse
      const ms = await until(
        'all that waited is in S3',
        async () => (await mp4Of(join(disk, 'recordings'))).length <= 1 && server.objects.size > 3,
        120_000,
      )
      // What is in S3 by now makes the room.
      if (policy === 'keep') await uploader.line(/pruned/)
      const from = recorder.lines.length
      await recorder.line(/segment finished/, { from, withinMs: 60_000 })
      t.diagnostic(`${policy}: drained and recording ${(ms / 1000).toFixed(1)} s after S3's return`)
      await recorder.stop()
      await uploader.stop()
      const dropped = uploader.lines.flatMap(
        (l) => /(Front_\S+): dropped, and not/.exec(l)?.[1] ?? [],
      )
      const gone = (await finished()).filter(
        (file) => ![...server.objects.keys()].some((stored) => stored.endsWith(file)),
      )
      const left = await mp4Of(join(disk, 'recordings'))
      assert.deepEqual(
        gone.filter((file) => !left.includes(file)),
        // Not always the oldest first: what is being tried just then is spared for the moment.
        dropped.sort(),
      )
      const gaps = await gapsOf(disk)
      assert.equal(
        gaps.filter((line) => line.includes('dropped: disk full')).length,
        dropped.length,
      )
    })
})

async function gapsOf(base: string): Promise<string[]> {
  const folder = join(base, 'data', 'gaps')
  const texts = (await readdir(folder)).map(async (file) => readFile(join(folder, file), 'utf8'))
  return (await Promise.all(texts)).join('').split('\n')
}
