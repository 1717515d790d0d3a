// npm run soak [-- MINUTES [SEED]]: eight cameras, segments of 2 s, and faults at random. Ends with
// what has grown, and with a reckoning of every frame and every file; exits with 1 if it doesn't add up.
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startRtspCamera, type RtspCamera } from '../demo/rtsp-camera.ts'
import type { GapLine } from '../src/segments/gaps.ts'
import type { LedgerLine } from '../src/uploader/ledger.ts'
import { cachedClip } from '../test/support/clips.ts'
import { FaultProxy, hang, loseAnswer, refuse, reset } from '../test/support/fault-proxy.ts'
import { frameCounters } from '../test/support/frame-counter.ts'
import { journalLines } from '../test/support/journal-lines.ts'
import { S3Server } from '../test/support/s3-server.ts'
import { SeededRandom } from '../test/support/seeded-random.ts'
import { atMost, median, tableOf, writeTable, type Figure } from './figures.ts'
import { openFilesOf } from './process-tree.ts'
import { Stage, type Program } from './program.ts'

const cameraCount = 8
const fps = 25
/** Footage that a camera would show twice, or never, for reasons of its own. */
const shortestHoleSeconds = 1

/** What was seen of a daemon at a moment. */
interface Sample {
  rssBytes: number
  openFiles: number
  resources: number
}

const [minutes = '15', seed = String(Date.now() % 1e6)] = process.argv.slice(2)
const random = new SeededRandom(Number(seed))
const stage = await Stage.open()
const server = await S3Server.start()
const proxy = await FaultProxy.start(server.url)
const clip = await cachedClip({ videoKbps: 400 })
const cameras = await Promise.all(
  Array.from({ length: cameraCount }, async () => startRtspCamera({ clip })),
)
try {
  process.stdout.write(`seed ${seed}, ${minutes} minutes\n`)
  const { recorder, uploader } = await startDaemons()
  const samples = await live(Number(minutes) * 60_000, { recorder, uploader })
  await calm(recorder)
  const figures = [...growth(samples), ...(await reckoning())]
  process.stdout.write(`${tableOf(figures)}\n`)
  writeTable('soak', figures)
  process.exitCode = figures.some(({ reached }) => reached === false) ? 1 : 0
} finally {
  await stage.close()
  await Promise.all([
    ...cameras.map(async (camera) => camera.close()),
    proxy.close(),
    server.close(),
  ])
}
process.exit()

async function startDaemons(): Promise<Record<'recorder' | 'uploader', Program>> {
  await mkdir(join(stage.folder, 'data'), { recursive: true })
  const { bucket, accessKeyId, secretAccessKey } = server.options
  const named = cameras.flatMap(({ url }, index) => [
    [`CAMERA_${index + 1}_URL`, url],
    [`CAMERA_${index + 1}_NAME`, `C${index}`],
  ])
  const settings = {
    ...Object.fromEntries(named),
    ...{ SEGMENT_DURATION: 2, STALL_SECONDS: 4, MIN_FREE_DISK_GB: 0 },
    ...{ S3_BUCKET_NAME: bucket, S3_ENDPOINT: proxy.url },
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
  }
  const counter = fileURLToPath(new URL('count-resources.mjs', import.meta.url))
  const variables = {
    NODE_OPTIONS: `--import ${counter}`,
    RESOURCES_FILE: join(stage.folder, 'resources'),
  }
  const recorder = await stage.startDaemon('recorder', settings, variables)
  const uploader = await stage.startDaemon('uploader', settings, variables)
  await recorder.count(/recording started/, cameraCount)
  return { recorder, uploader }
}

/** Lets things happen for so long; what was seen of both daemons every five seconds. */
async function live(
  ms: number,
  daemons: Record<'recorder' | 'uploader', Program>,
): Promise<Record<'recorder' | 'uploader', Sample[]>> {
  const samples: Record<'recorder' | 'uploader', Sample[]> = { recorder: [], uploader: [] }
  const untilMs = performance.now() + ms
  while (performance.now() < untilMs) {
    await sleep(5000)
    for (const name of ['recorder', 'uploader'] as const)
      samples[name].push(sampleOf(daemons[name]))
    if (random.chance(0.5)) void disturb()
  }
  return samples
}

function sampleOf({ pid }: Program): Sample {
  return {
    rssBytes: rssOf(pid),
    openFiles: openFilesOf(pid),
    resources: resourcesOf(pid),
  }
}

function rssOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
}

function resourcesOf(pid: number): number {
  try {
    const text = readFileSync(join(stage.folder, `resources.${pid}`), 'utf8')
    return Object.values(JSON.parse(text) as Record<string, number>).reduce((a, b) => a + b, 0)
  } catch {
    return 0 // none written yet, or just being written
  }
}

/** Something happens to a camera, to an FFmpeg or to the store, and is over after a while. */
async function disturb(): Promise<void> {
  const camera = random.pick(cameras)
  const whileMs = 500 + random.below(12_000)
  const switched = async (fault: 'silent' | 'videoStops' | 'refuseConnections' | 'holdBack') => {
    camera.faults[fault] = true
    if (fault === 'refuseConnections') camera.disconnectAll()
    await sleep(whileMs)
    camera.faults[fault] = false
  }
  const happenings = [
    async () => switched('silent'),
    async () => switched('videoStops'),
    async () => switched('refuseConnections'),
    async () => switched('holdBack'),
    async () => camera.disconnectAll(),
    async () => camera.timestampJumpMs(random.below(7_200_000) - 3_600_000),
    async () => killFfmpeg(),
    async () => storeFails(whileMs),
    async () => storeFails(whileMs),
  ]
  await random.pick(happenings)()
}

function killFfmpeg(): void {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  const ours = pids.filter((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      return line.startsWith('ffmpeg\0') && line.includes(`${stage.folder}/recordings/open`)
    } catch {
      return false
    }
  })
  if (ours.length > 0) process.kill(Number(random.pick(ours)), 'SIGKILL')
}

async function storeFails(ms: number): Promise<void> {
  const fault = random.pick([
    hang,
    reset,
    loseAnswer,
    refuse(503, 'SlowDown'),
    refuse(500, 'InternalError'),
  ])
  const share = random.pick([0.2, 1])
  proxy.plan = () => (random.chance(share) ? fault : undefined)
  await sleep(ms)
  proxy.plan = () => undefined
}

/** Everything is mended, the recorder ends, and the uploader ships what is left. */
async function calm(recorder: Program): Promise<void> {
  proxy.plan = () => undefined
  await sleep(30_000)
  await recorder.end()
  const waiting = (): number =>
    [...filesIn('recordings'), ...filesIn(join('recordings', 'open'))].length
  for (const deadline = performance.now() + 600_000; waiting() > 0; await sleep(500))
    if (performance.now() > deadline) throw new Error(`${waiting()} files are never shipped`)
}

/** The last third against the middle one: what leaks grows. */
function growth(samples: Record<'recorder' | 'uploader', Sample[]>): Figure[] {
  const last = samples.recorder.length
  return (['recorder', 'uploader'] as const).flatMap((name) =>
    (['rssBytes', 'openFiles', 'resources'] as const).map((what) => {
      const values = samples[name].map((sample) => sample[what])
      const middle = median(values.slice(Math.floor(last / 3), Math.floor((last * 2) / 3)))
      const end = median(values.slice(Math.floor((last * 2) / 3)))
      const [label, scale] = {
        rssBytes: ['RSS in MB', 1e6],
        openFiles: ['open files', 1],
        resources: ['timers, sockets and the like', 1],
      }[what] as [string, number]
      const note = `${(middle / scale).toFixed(1)}, then ${(end / scale).toFixed(1)}`
      return atMost(
        `the ${name}'s ${label}: last third against the middle one`,
        end / middle,
        1.05,
        '',
        note,
      )
    }),
  )
}

/** Whether frames and files add up. */
async function reckoning(): Promise<Figure[]> {
  const ledger = journalLines<LedgerLine>(join(stage.folder, 'data', 'ledger'))
  const gaps = journalLines<GapLine>(join(stage.folder, 'data', 'gaps'))
  const uploaded = filesIn('uploaded')
  const [lines, objects] = [
    new Set(ledger.map(({ key, bytes }) => `${key} ${bytes}`)),
    new Set([...server.objects].map(([key, { bytes }]) => `${key} ${bytes}`)),
  ]
  const differing =
    [...lines].filter((line) => !objects.has(line)).length +
    [...objects].filter((object) => !lines.has(object)).length
  let [frames, odd, holes, missing] = [0, 0, 0, 0]
  for (const [index, camera] of cameras.entries()) {
    const counters = await framesOf(uploaded.filter((file) => file.startsWith(`C${index}_`)))
    frames += counters.length
    const ours = gaps.filter((gap) => gap.camera === `C${index}`)
    for (const hole of holesIn(counters)) {
      if (hole.seconds < shortestHoleSeconds) continue
      holes += 1
      missing += hole.seconds
      if (!ours.some((gap) => explains(gap, hole, camera))) {
        odd += 1
        process.stdout.write(unexplained(`C${index}`, hole, camera, ours))
      }
    }
  }
  return [
    { what: 'segments', measured: String(uploaded.length) },
    {
      what: 'frames',
      measured: `${frames}, and ${Math.round(missing)} s missing in ${holes} holes of a second and more`,
    },
    atMost('holes that no line of data/gaps/ explains', odd, 0),
    atMost('objects without a line in the ledger, or the reverse', differing, 0),
    atMost(
      'files in uploaded/ more or less than objects',
      Math.abs(uploaded.length - objects.size),
      0,
    ),
  ]
}

interface Hole {
  before: number
  seconds: number
}

async function framesOf(files: string[]): Promise<number[]> {
  const counters: number[] = []
  for (const file of files) {
    const found = await frameCounters(join(stage.folder, 'uploaded', file))
    for (const counter of found) counters.push(counter)
  }
  return counters.sort((a, b) => a - b)
}

function holesIn(counters: number[]): Hole[] {
  return counters.flatMap((before, index) => {
    const seconds = (before - (counters[index - 1] ?? before - 1) - 1) / fps
    return seconds > 0 ? [{ before, seconds }] : []
  })
}

/**
 * A gap that ends when the frame behind the hole was shown, and is as long, within a second and a
 * half; or one with some frames in it, of which this hole is a part.
 */
function explains(gap: GapLine, { before, seconds }: Hole, camera: RtspCamera): boolean {
  const endMs = shownMs(before, camera)
  const [from, to] = [Date.parse(gap.from), Date.parse(gap.to)]
  const isIt = Math.abs(to - endMs) < 4000 && Math.abs(gap.seconds - seconds) < 1.5
  return isIt || (endMs - seconds * 1000 > from - 1500 && endMs < to + 1500)
}

/** What to look at in the log. */
function unexplained(name: string, hole: Hole, camera: RtspCamera, gaps: GapLine[]): string {
  const endMs = shownMs(hole.before, camera)
  const near = gaps.filter(({ to }) => Math.abs(Date.parse(to) - endMs) < 30_000)
  const said = readFileSync(join(stage.folder, 'data', 'logs', 'recorder.log'), 'utf8')
    .split('\n')
    .filter((line) => line.includes(` ${name}: `) && Math.abs(atMs(line) - endMs) < 30_000)
  const what = `${name}: ${hole.seconds.toFixed(1)} s missing until ${new Date(endMs).toISOString()}`
  return `${what}; noted: ${JSON.stringify(near)}\n${said.join('\n')}\n`
}

function atMs(line: string): number {
  return Date.parse(line.slice(0, 23).replace(' ', 'T'))
}

function shownMs(frame: number, camera: RtspCamera): number {
  return Date.now() - ((camera.frameNow - frame) / fps) * 1000
}

function filesIn(folder: string): string[] {
  return readdirSync(join(stage.folder, folder)).filter((file) => file.endsWith('.mp4'))
}
