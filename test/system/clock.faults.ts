import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startRtspCamera, type RtspCamera } from '../../demo/rtsp-camera.ts'
import { Gaps } from '../../src/segments/gaps.ts'
import { cliProgram } from '../cli/cli-program.ts'
import { cachedClip } from '../support/clips.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { brokenPlaces, frameCounters } from '../support/frame-counter.ts'
import { startDaemon, type RunningDaemon } from '../support/running-daemon.ts'
import { S3Server } from '../support/s3-server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { until } from './installation.ts'

const hourMs = 3_600_000
const decadeMs = 87_600 * hourMs

/** A camera and a store whose clock is right, and both daemons by a clock that a test sets. */
interface Scene {
  folder: string
  clock: FakeClock
  start: () => Promise<Pair>
  /** Waits until so many segments are in the store. */
  stored: (objects: number) => Promise<void>
  keys: () => string[]
  /** The frames of each object, in the order in which they were taken. */
  frames: () => Promise<number[][]>
  /** What waits. */
  waiting: () => string[]
  uploaded: () => string[]
}

interface Pair {
  recorder: RunningDaemon
  uploader: RunningDaemon
  /** Stops the recorder, lets the uploader ship everything, and stops it. */
  finish: () => Promise<void>
  /** As a power cut does. */
  kill: () => Promise<void>
}

async function openScene(t: TestContext, aheadMs: number, zone = 'UTC'): Promise<Scene> {
  const folder = await temporaryFolder(t)
  const server = await S3Server.start()
  t.after(async () => server.close())
  const camera = await startRtspCamera({ clip: await cachedClip() })
  t.after(async () => camera.close())
  const clock = new FakeClock(folder, aheadMs)
  const settings = settingsFor(server, camera, zone)
  const filesIn = (name: string): string[] => mp4Files(join(folder, name))
  const waiting = (): string[] => [...filesIn('recordings'), ...filesIn('recordings/open')]
  return {
    folder,
    clock,
    waiting,
    uploaded: () => filesIn('uploaded'),
    keys: () => [...server.objects.keys()],
    stored: async (objects) =>
      until(60_000, `${objects} segments in the store`, () => server.objects.size >= objects),
    frames: async () => {
      const files = [...server.objects.values()].map(async ({ path }) => frameCounters(path))
      return (await Promise.all(files)).sort(([a = 0], [b = 0]) => a - b)
    },
    start: async () => {
      const recorder = await startDaemon(t, 'recorder', folder, settings, clock.variables)
      const uploader = await startDaemon(t, 'uploader', folder, settings, clock.variables)
      return {
        recorder,
        uploader,
        finish: async () => {
          await recorder.stop()
          await until(60_000, 'nothing waits', () => waiting().length === 0)
          await uploader.stop()
        },
        kill: async () => {
          for (const daemon of [recorder, uploader]) daemon.process.kill('SIGKILL')
          await Promise.all([recorder.ended, uploader.ended])
        },
      }
    },
  }
}

function settingsFor(
  { options, url }: S3Server,
  camera: RtspCamera,
  zone: string,
): Record<string, string | number> {
  return {
    ...{ CAMERA_1_URL: camera.url, CAMERA_1_NAME: 'Front', SEGMENT_DURATION: 2, TZ: zone },
    ...{ AWS_ACCESS_KEY_ID: options.accessKeyId, AWS_SECRET_ACCESS_KEY: options.secretAccessKey },
    ...{ S3_BUCKET_NAME: options.bucket, S3_ENDPOINT: url, RESCAN_SECONDS: 1 },
  }
}

function mp4Files(folder: string): string[] {
  return readdirSync(folder).filter((file) => file.endsWith('.mp4'))
}

function suffixed(keys: string[]): number {
  return keys.filter((key) => /_\d{6}_\d+\.mp4$/.test(key)).length
}

function restarts({ recorder }: Pair): number {
  return recorder.lines.filter((line) => line.includes('not recording')).length
}

// Each of them mostly waits.
describe('a clock that is wrong', { concurrency: 6 }, () => {
  for (const [name, stepMs] of [
    ['an hour', hourMs],
    ['a minute', 60_000],
  ] as const)
    test(`stepped back by ${name}, into names that are taken, costs not a frame`, async (t) => {
      const scene = await openScene(t, -stepMs)
      const startedMs = performance.now()
      const pair = await scene.start()
      await scene.stored(3)
      scene.clock.set(0)
      await scene.stored(6)
      // As far back as it takes to be where it began, in whole seconds: so keyframes fall as they did.
      const passedMs = Math.ceil((performance.now() - startedMs) / 1000) * 1000
      scene.clock.set(-passedMs - stepMs)
      await until(60_000, 'names are met', () => suffixed(scene.keys()) >= 2)
      await pair.finish()
      const files = await scene.frames()
      assert.deepEqual(brokenPlaces(files.flat()), [])
      assert.equal(restarts(pair), 0)
      t.diagnostic(
        `clock back by ${name}: ${files.flat().length} frames in ${files.length} objects, ` +
          `${suffixed(scene.keys())} of them under a name that was taken; none missing, no restart`,
      )
      assert.doesNotMatch(pair.uploader.lines.join('\n'), /denies|RequestTimeTooSkewed/)
    })

  test('set ahead by an hour in the middle of a segment makes no gap, and nothing is missing', async (t) => {
    const scene = await openScene(t, -hourMs)
    const { folder } = scene
    const pair = await scene.start()
    await scene.stored(3)
    scene.clock.set(0)
    for (let n = 0; n < 4; n += 1)
      await pair.recorder.line(/segment finished/, { from: pair.recorder.lines.length })
    const coverage = await cliProgram(t, 'coverage', { BASE_DIR: folder, CAMERA_1_NAME: 'Front' })
    const { code, stdout } = await coverage('--days', '2', '--json')
    assert.equal(code, 0, stdout)
    const { days } = JSON.parse(stdout) as { days: { percent?: number }[] }
    assert.ok(days.some(({ percent }) => percent === 100))
    const gaps = new Gaps(join(folder, 'data', 'gaps'))
    const [passedOver, ...others] = await gaps.passedOver()
    assert.deepEqual([await gaps.all(), others], [[], []])
    const { fromMs = 0, toMs = 0 } = passedOver ?? {}
    assert.ok(Math.abs(toMs - fromMs - hourMs) < 1000, `${toMs - fromMs} ms`)
    await pair.finish()
    const files = await scene.frames()
    assert.deepEqual(brokenPlaces(files.flat()), [])
    assert.equal(restarts(pair), 0)
  })

  test('in the repeated hour of a DST change nothing is overwritten, here or in the store', async (t) => {
    // Between two and three in the morning of 25 October 2026 in Berlin, which comes twice.
    const firstMs = Date.UTC(2026, 9, 25, 0, 30)
    const scene = await openScene(t, firstMs - Date.now(), 'Europe/Berlin')
    const startedMs = performance.now()
    const pair = await scene.start()
    await scene.stored(3)
    scene.clock.set(firstMs + hourMs - Date.now() - (performance.now() - startedMs))
    await until(60_000, 'names are met', () => suffixed(scene.keys()) >= 2)
    await pair.finish()
    const files = await scene.frames()
    assert.deepEqual(brokenPlaces(files.flat()), [])
    assert.equal(restarts(pair), 0)
    t.diagnostic(
      `repeated hour: ${files.flat().length} frames in ${files.length} objects, ` +
        `${suffixed(scene.keys())} of them in the second hour under a name of the first; none missing`,
    )
  })

  test('two boots at 1970, the second until NTP sets the clock: nothing is overwritten or pruned', async (t) => {
    const at1970 = (): number => 20_000 - Date.now()
    const scene = await openScene(t, at1970())
    const first = await scene.start()
    await scene.stored(3)
    await first.uploader.line(/this machine's clock is wrong .*behind that of S3.*set it/)
    await first.kill()

    scene.clock.set(at1970())
    const second = await scene.start()
    await until(60_000, 'names are met', () => suffixed(scene.keys()) >= 2)
    scene.clock.set(0)
    await second.uploader.line(/this machine's clock is right again/)
    const year = new Date().getUTCFullYear()
    await until(60_000, 'names are right', () =>
      scene.keys().some((key) => key.startsWith(`recordings/${year}/`)),
    )
    await second.finish()
    await assertAllThere(t, scene, '1970', [first, second])
  })

  test('a decade ahead, then right, nothing is overwritten or pruned', async (t) => {
    const scene = await openScene(t, decadeMs)
    const pair = await scene.start()
    await scene.stored(3)
    await pair.uploader.line(/this machine's clock is wrong .*ahead of that of S3/)
    scene.clock.set(0)
    await pair.uploader.line(/this machine's clock is right again/)
    await scene.stored(6)
    await pair.kill()
    // What lies in uploaded/ is looked at when an uploader starts, and its clock is wrong again.
    scene.clock.set(decadeMs)
    const next = await scene.start()
    await next.uploader.line(/the store answers/)
    await sleep(3000)
    await next.finish()
    await assertAllThere(t, scene, 'a decade ahead', [pair, next])
  })
})

/** Every frame but those of the kill is in the store once, and every file is still here. */
async function assertAllThere(
  t: TestContext,
  scene: Scene,
  name: string,
  pairs: Pair[],
): Promise<void> {
  const files = await scene.frames()
  const broken = brokenPlaces(files.flat())
  for (const file of files) assert.deepEqual(brokenPlaces(file), [])
  assert.equal(broken.length, 1, `holes: ${broken.join(', ')}`)
  const [from = 0, to = 0] = (broken[0] ?? '').split(' → ').map(Number)
  const seconds = (to - from - 1) / 25
  assert.ok(to > from, `a frame is there twice: ${broken.join(', ')}`)
  assert.equal(scene.uploaded().length, files.length)
  for (const { uploader } of pairs) assert.doesNotMatch(uploader.lines.join('\n'), /pruned/)
  t.diagnostic(
    `clock at ${name}: ${files.flat().length} frames in ${files.length} objects, ` +
      `${suffixed(scene.keys())} under a name that was taken; one hole of ${seconds.toFixed(1)} s, ` +
      'from the kill to the next start; nothing pruned',
  )
}
