import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { describeFault, readEnvironment, type Checked } from '../../src/daemon/environment.ts'
import { percentDecoded } from '../../src/daemon/redact.ts'
import type { DaemonConfig } from '../../src/daemon/run-daemon.ts'
import { readRecorderConfig, type RecorderConfig } from '../../src/recorder/config.ts'
import { knownVariables } from '../../src/segments/installation.ts'
import { readUploaderConfig, type UploaderConfig } from '../../src/uploader/config.ts'
import { canary, canaryKeys, inUrl } from '../support/canaries.ts'
import { SeededRandom, seedOf } from '../support/seeded-random.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

/** Of each of two kinds. */
const inputs = 5000
/** In memory: on a disk, ten thousand files written over would take longer than all else. */
const memory = '/dev/shm'

const { accessKeyId, secretAccessKey } = canaryKeys()
const secrets = [canary(), canary(), accessKeyId, secretAccessKey, canary()]
const [password = '', other = '', , , token = ''] = secrets
const secretWords = secrets.flatMap((secret) => secret.match(/[A-Za-z0-9]{8,}/g) ?? [])

const valid = `# My cameras
CAMERA_1_NAME="Front door"   # the street
CAMERA_1_URL=rtsp://admin:${inUrl(password)}@192.168.1.10:554/Preview_01_main
export CAMERA_2_URL='http://192.168.1.11/flv?port=1935&app=bcs&user=admin&password=${inUrl(other)}'
CAMERA_2_TRANSPORT=udp
CAMERA_2_AUDIO=none
AWS_ACCESS_KEY_ID=${accessKeyId}
AWS_SECRET_ACCESS_KEY='${secretAccessKey}'
AWS_SESSION_TOKEN="${token.replaceAll(/["\\]/g, '')}"
AWS_REGION=eu-central-1
S3_BUCKET_NAME=my-camera-footage
S3_ENDPOINT=https://minio.example:9000
SEGMENT_DURATION=300
LOCAL_RETENTION_HOURS=24
STABLE_SECONDS=60
LOG_LEVEL=INFO
TZ=Europe/Berlin
`

const longName = 'ﬃ'.repeat(100)
const oddValues = [
  longName,
  '',
  ' ',
  '0',
  '-1',
  '1e999',
  'NaN',
  '0x10',
  '١٢',
  'true',
  '${HOME}',
  '"',
  "'",
  '#',
]

/** What hands, editors and copy and paste do to a file that was right. */
function mutated(random: SeededRandom): string {
  let text = valid
  for (let left = 1 + random.below(4); left > 0; left -= 1) {
    const at = random.below(text.length)
    const end = Math.min(text.length, at + random.below(30))
    const lines = text.split('\n')
    const line = random.below(lines.length)
    const [name = ''] = lines[line]?.split('=') ?? []
    const edits: (() => string)[] = [
      () => text.slice(0, at) + text.slice(at + 1),
      () => text.slice(0, at) + random.text(5) + text.slice(at),
      () => text.slice(0, at) + text.slice(end),
      () => text.slice(0, end) + text.slice(at),
      () => text.slice(0, at),
      () => lines.toSpliced(line, 1).join('\n'),
      () => lines.toSpliced(line, 0, random.pick(lines)).join('\n'),
      () => lines.toSpliced(line, 1, `${name}=${random.pick(oddValues)}`).join('\n'),
      () => lines.toSpliced(line, 1, `${name}=${random.text(40)}`).join('\n'),
      () =>
        lines.toSpliced(line, 1, `${random.pick(knownVariables)}=${random.text(20)}`).join('\n'),
      () => text.replaceAll('\n', random.pick(['\r\n', '\r', '\n\n'])),
      () => `\uFEFF${text}`,
    ]
    text = random.pick(edits)()
    if (text === '') text = ' '
  }
  return text
}

function anything(random: SeededRandom): string {
  const line = (): string => {
    const name = random.chance(0.8) ? random.pick(knownVariables).replace('_N_', '_1_') : ''
    return `${name || random.text(12)}${random.pick(['=', '=', ' = ', ': ', ''])}${random.text(60)}`
  }
  return Array.from({ length: random.below(12) }, line).join(random.pick(['\n', '\n', '\r\n']))
}

function assertClear(checked: Checked<DaemonConfig>, says: string): void {
  if ('config' in checked) return
  assert.ok(checked.faults.length > 0, says)
  for (const { variable, expected } of checked.faults)
    assert.ok(variable !== '' && expected !== '' && !expected.startsWith('Invalid'), says)
}

function assertRecorder({ cameras, segmentSeconds, stallAfterMs }: RecorderConfig, says: string) {
  assert.ok(Number.isInteger(segmentSeconds) && segmentSeconds >= 2, says)
  assert.ok(segmentSeconds <= 86_400 && stallAfterMs >= 2000 && stallAfterMs <= 600_000, says)
  assert.ok(cameras.length > 0, says)
  assert.equal(new Set(cameras.map(({ name }) => name.toLowerCase())).size, cameras.length, says)
  for (const { name, url } of cameras) {
    assert.match(name, /^[A-Za-z0-9-][A-Za-z0-9._-]{0,99}$/, says)
    assert.match(url, /^(rtsps?|rtmps?|https?):\/\/[^\s'"\\#]+$/i, says)
    assert.ok(new URL(url).hostname !== '', says)
  }
}

function assertUploader(config: UploaderConfig, says: string): void {
  const { store, prefix, retentionMs, stableAfterMs, rescanEveryMs, concurrency } = config
  for (const ms of [stableAfterMs, rescanEveryMs]) assert.ok(ms >= 100 && ms < 1e8, says)
  assert.ok(retentionMs >= 0 && retentionMs <= 3.6e12, says)
  assert.ok(Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= 32, says)
  assert.ok(store.bucket.length >= 3 && !/\s/.test(prefix), says)
  assert.match(new URL(store.endpoint ?? 'https://aws').href, /^https?:\/\/[^/]/, says)
}

for (const [what, make] of [
  ['a .env that was right and has been edited', mutated],
  ['a file of anything at all', anything],
] as const)
  test(`${what} is a configuration that can work, or clear faults, and tells no secret`, async (t) => {
    const seed = seedOf(t)
    const random = new SeededRandom(seed)
    const file = join(await temporaryFolder(t, memory), '.env')
    const accepted = { recorder: 0, uploader: 0 }
    for (let n = 0; n < inputs; n += 1) {
      const text = make(random)
      const says = `FUZZ_SEED=${seed}, input ${n}:\n${text}\n`
      writeFileSync(file, text)
      const environment = readEnvironment({ ENV_FILE: file })
      const recorder = readRecorderConfig(environment)
      const uploader = readUploaderConfig(environment)
      for (const checked of [recorder, uploader]) {
        assertClear(checked, says)
        const told = 'faults' in checked ? checked.faults.map(describeFault) : checked.warnings
        for (const word of secretWords)
          assert.ok(!told.join('\n').includes(word), `${says}${told.join('\n')}`)
      }
      if ('config' in recorder) assertRecorder(recorder.config, says)
      if ('config' in uploader) assertUploader(uploader.config, says)
      accepted.recorder += Number('config' in recorder)
      accepted.uploader += Number('config' in uploader)
    }
    t.diagnostic(`of ${inputs} accepted: ${JSON.stringify(accepted)}`)
  })

test('whatever a password is, it goes into a URL, through .env to FFmpeg, and into what is masked', async (t) => {
  const seed = seedOf(t)
  const random = new SeededRandom(seed)
  const file = join(await temporaryFolder(t, memory), '.env')
  for (let n = 0; n < inputs / 5; n += 1) {
    const secret = random.text(30)
    const says = `FUZZ_SEED=${seed}: ${JSON.stringify(secret)}`
    writeFileSync(file, `CAMERA_1_URL='rtsp://admin:${inUrl(secret)}@192.168.1.10/main'\n`)
    const checked = readRecorderConfig(readEnvironment({ ENV_FILE: file }))
    assert.ok('config' in checked, says)
    const { cameras, secrets: masked } = checked.config
    assert.equal(percentDecoded(new URL(cameras[0]?.url ?? '').password), secret, says)
    assert.ok(masked.includes(secret), says)
  }
})
