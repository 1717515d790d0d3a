import assert from 'node:assert/strict'
import { copyFile, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { startDaemon, type RunningDaemon } from '../support/running-daemon.ts'
import { S3Server } from '../support/s3-server.ts'
import { cannotMount, smallDisk } from '../support/small-disk.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { padded, tiny } from './workbench.ts'

/** Parts wait in memory. */
const mostBytesInParts = 250e6
const mostBytes = 200e6

async function uploader(
  t: TestContext,
  server: S3Server,
  folder: string,
  more: Record<string, string | number> = {},
): Promise<RunningDaemon> {
  const { bucket, accessKeyId, secretAccessKey } = server.options
  return startDaemon(t, 'uploader', folder, {
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    ...{ S3_BUCKET_NAME: bucket, S3_ENDPOINT: server.url, MIN_FREE_DISK_GB: 0 },
    ...more,
  })
}

/** The most memory that a process has ever had. */
async function peakBytes({ process: { pid } }: RunningDaemon): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024
}

function shippedOf(daemon: RunningDaemon): string[] {
  return daemon.lines.flatMap((line) => / (\S+\.mp4): moved to uploaded/.exec(line)?.[1] ?? [])
}

describe('the uploader with much to do', { concurrency: true }, () => {
  test('a file of 6 GB is shipped in parts, in little memory', async (t) => {
    const server = await S3Server.start({ keeps: false })
    t.after(async () => server.close())
    const folder = await temporaryFolder(t)
    await mkdir(join(folder, 'recordings'))
    const name = 'Front_20250125_153045.mp4'
    await padded(join(folder, 'recordings', name), 6e9)
    const daemon = await uploader(t, server, folder)
    await daemon.line(/moved to uploaded/, { withinMs: 220_000 })
    const peak = await peakBytes(daemon)
    t.diagnostic(`6 GB: peak RSS ${Math.round(peak / 1e6)} MB`)
    t.diagnostic(daemon.lines.find((line) => /upload verified/.test(line)) ?? '')
    const object = server.objects.get(`recordings/2025/01/25/${name}`)
    assert.equal(object?.bytes, 6e9)
    assert.match(object.etag, /-\d+$/)
    assert.equal((await stat(join(folder, 'uploaded', name))).size, 6e9)
    assert.ok(peak < mostBytesInParts, `${peak}`)
    assert.equal(await daemon.stop(), 0)
  })

  test(
    '10,000 files that wait are shipped oldest first, in little memory, and new ones at once',
    { skip: cannotMount },
    async (t) => {
      const server = await S3Server.start({ keeps: false })
      t.after(async () => server.close())
      const folder = await smallDisk(t, 400)
      await mkdir(join(folder, 'recordings'))
      const clip = await readFile(await tiny())
      const backlog = names(10_000)
      for (const name of backlog) await writeFile(join(folder, 'recordings', name), clip)
      const daemon = await uploader(t, server, folder)
      const drained = 2000
      let [delayMs, fresh] = [0, 0]
      for (let next = 100; shippedOf(daemon).length < drained;) {
        await daemon.line(/moved to uploaded/, { from: daemon.lines.length, withinMs: 60_000 })
        if (shippedOf(daemon).length < next || fresh === 3) continue
        // The camera goes on meanwhile.
        const name = `Front_20260101_00000${fresh}.mp4`
        const startedMs = performance.now()
        await copyFile(await tiny(), join(folder, 'recordings', name))
        await daemon.line(new RegExp(`${name}: moved to`), { withinMs: 60_000 })
        delayMs = Math.max(delayMs, performance.now() - startedMs)
        fresh += 1
        next += 500
      }
      const peak = await peakBytes(daemon)
      assert.equal(await daemon.stop(), 0)
      const shipped = shippedOf(daemon)
      t.diagnostic(`10,000 files: peak RSS ${Math.round(peak / 1e6)} MB; ${rateOf(daemon)}`)
      t.diagnostic(`a new file was in S3 after at most ${(delayMs / 1000).toFixed(1)} s`)
      assert.ok(peak < mostBytes, `${peak}`)
      assert.ok(delayMs < 15_000, `${delayMs}`)
      assertOldestFirst(shipped, backlog)
      const left = (await readdir(join(folder, 'recordings'))).filter((file) =>
        file.endsWith('.mp4'),
      )
      assert.equal(left.length + shipped.length, backlog.length + fresh)
      assert.equal(server.objects.size, shipped.length)
    },
  )
})

/** Seven days of ten cameras. */
function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const at = new Date(2025, 0, 25, 0, Math.floor(index / 10) * 10)
    const two = (value: number): string => String(value).padStart(2, '0')
    const date = `${at.getFullYear()}${two(at.getMonth() + 1)}${two(at.getDate())}`
    return `Cam${index % 10}_${date}_${two(at.getHours())}${two(at.getMinutes())}00.mp4`
  })
}

/** One of two slots takes the newest that is known, the other the oldest, in their order. */
function assertOldestFirst(shipped: string[], backlog: string[]): void {
  const places = shipped.map((file) => backlog.indexOf(file)).filter((place) => place >= 0)
  const known = new Set(places)
  const firstMissing = backlog.findIndex((_, place) => !known.has(place))
  assert.ok(firstMissing > shipped.length * 0.4, `${firstMissing} of ${shipped.length}`)
  const oldest = places.filter((place) => place < firstMissing)
  // What the one slot took early moves the others back by one each.
  const latest = Math.max(...oldest.map((place, index) => index - place))
  assert.ok(latest <= 50, String(latest))
}

function rateOf({ lines }: RunningDaemon): string {
  const times = lines
    .filter((line) => /moved to uploaded/.test(line))
    .map((line) => Date.parse(line.slice(0, 23).replace(' ', 'T')))
  const seconds = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1000
  return `${(times.length / seconds).toFixed(1)} files/s`
}
