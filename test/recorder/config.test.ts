import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { describeFault, projectRoot, readEnvironment } from '../../src/daemon/environment.ts'
import { readRecorderConfig, type RecorderConfig } from '../../src/recorder/config.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

async function read(t: TestContext, text: string, variables: Record<string, string> = {}) {
  const file = join(await temporaryFolder(t), '.env')
  writeFileSync(file, text)
  return readRecorderConfig(readEnvironment({ ...variables, ENV_FILE: file }))
}

async function config(
  t: TestContext,
  text: string,
  variables?: Record<string, string>,
): Promise<RecorderConfig> {
  const checked = await read(t, text, variables)
  assert.ok('config' in checked, JSON.stringify(checked))
  return checked.config
}

async function faults(t: TestContext, text: string): Promise<string[]> {
  const checked = await read(t, text)
  assert.ok('faults' in checked, JSON.stringify(checked))
  return checked.faults.map(describeFault)
}

async function warnings(t: TestContext, text: string): Promise<string[]> {
  const checked = await read(t, text)
  assert.ok('config' in checked, JSON.stringify(checked))
  return checked.warnings
}

test('a camera URL alone is enough', async (t) => {
  const { cameras, segmentSeconds, stallAfterMs, video } = await config(
    t,
    'CAMERA_1_URL=rtsp://cam/1',
  )
  assert.deepEqual(cameras, [
    { number: 1, name: 'Camera_1', url: 'rtsp://cam/1', transport: 'tcp', audio: 'auto' },
  ])
  assert.deepEqual([segmentSeconds, stallAfterMs, video], [600, 15_000, { codec: 'copy' }])
})

test('inline comments, quotes and missing numbers are understood as in the original', async (t) => {
  const { cameras, segmentSeconds } = await config(
    t,
    `SEGMENT_DURATION=300   # 5 minutes
CAMERA_2_URL='rtsp://admin:a%23b@cam/2'  # the door
CAMERA_2_NAME="Haustür (links)"
CAMERA_7_URL=http://cam/flv?port=1935&user=admin&password=geheim
CAMERA_7_AUDIO=none
CAMERA_7_TRANSPORT=UDP
`,
  )
  assert.equal(segmentSeconds, 300)
  assert.deepEqual(
    cameras.map(({ number, name, transport, audio }) => [number, name, transport, audio]),
    [
      [2, 'Haustur_links_', 'tcp', 'auto'],
      [7, 'Camera_7', 'udp', 'none'],
    ],
  )
})

test('the real environment wins over the file', async (t) => {
  const { segmentSeconds } = await config(t, 'CAMERA_1_URL=rtsp://cam/1\nSEGMENT_DURATION=60', {
    SEGMENT_DURATION: '90',
  })
  assert.equal(segmentSeconds, 90)
})

test('every fault is reported at once, each with its variable', async (t) => {
  const found = await faults(
    t,
    `CAMERA_1_URL=cam/1
CAMERA_2_URL=rtsp://cam/2
CAMERA_2_AUDIO=loud
SEGMENT_DURATION=ten
VIDEO_CODEC=av1
VIDEO_FORMAT=mkv
LOG_LEVEL=chatty
CAMERA_3_URI=rtsp://cam/3
`,
  )
  const variables = found.map((line) => line.split(':')[0] ?? '').sort()
  assert.deepEqual(variables, [
    'CAMERA_1_URL',
    'CAMERA_2_AUDIO',
    'CAMERA_3_URI',
    'LOG_LEVEL',
    'SEGMENT_DURATION',
    'VIDEO_CODEC',
    'VIDEO_FORMAT',
  ])
  assert.match(
    found.join('\n'),
    /CAMERA_3_URI: found a name that is not known; expected CAMERA_3_URL, perhaps\?/,
  )
})

test('no camera at all is said with an example', async (t) => {
  assert.match(
    (await faults(t, '')).join('\n'),
    /^CAMERA_1_URL: not set; expected at least one camera/,
  )
})

const badUrls: [string, string, RegExp][] = [
  ['an unquoted # that cuts a password short', 'rtsp://operator:canary#ss@cam/1', /write # as %23/],
  ['a quoted but unescaped #', "'rtsp://operator:canary#ss@cam/1'", /%23/],
  ['an unescaped / in a password', 'rtsp://operator:canary/ss@cam/1', /%2F/],
  ['a URL without a host', 'rtsp://operator:canary@/1', /host/],
  ['a / in a password that begins like a port', 'rtsp://operator:123/canary@cam/1', /%2F/],
  ['a space in the host', "'rtsp://operator:canary@cam /1'", /host/],
  ['an unknown scheme', 'ftp://operator:canary@cam/1', /rtsp/],
  ['a port that is none', 'rtsp://operator:canary@cam:99999/1', /port up to 65535/],
]

for (const [title, url, expected] of badUrls)
  test(`${title} is a fault that shows no part of the password`, async (t) => {
    const found = (await faults(t, `CAMERA_1_URL=${url}`)).join('\n')
    assert.match(found, /^CAMERA_1_URL: /)
    assert.match(found, expected)
    assert.doesNotMatch(found, /canary|operator/)
  })

test('a value that an unquoted # cuts short is one fault, whichever variable it is', async (t) => {
  const text = `CAMERA_1_URL=rtsp://operator:canary#1@cam/1
CAMERA_1_AUDIO=no#ne
AWS_SECRET_ACCESS_KEY=ca#nary
S3_PREFIX=front # where it goes
S3_BUCKET_NAME='a#b'
`
  assert.deepEqual(await faults(t, text), [
    'CAMERA_1_URL: found ***; expected no unquoted #, which begins a comment: write # as %23',
    ...['CAMERA_1_AUDIO', 'AWS_SECRET_ACCESS_KEY'].map(
      (variable) =>
        `${variable}: found ***; expected no unquoted #, which begins a comment: put the value into single quotes`,
    ),
  ])
})

test('.env.example is refused until its own values are replaced', async (t) => {
  const example = readFileSync(join(projectRoot, '.env.example'), 'utf8')
  const expected = "found still the example's value; expected your own"
  assert.deepEqual(await faults(t, example), [
    `AWS_ACCESS_KEY_ID: ${expected}`,
    `AWS_SECRET_ACCESS_KEY: ${expected}`,
    `S3_BUCKET_NAME: ${expected}`,
    `CAMERA_1_URL: ${expected}`,
  ])
})

test('an unescaped @ in a password is encoded, with a warning', async (t) => {
  const text = 'CAMERA_1_URL=rtsp://admin:p@ss%21@cam:554/1'
  const { cameras, secrets } = await config(t, text)
  assert.equal(cameras[0]?.url, 'rtsp://admin:p%40ss%21@cam:554/1')
  assert.ok(secrets.includes('p@ss!') && secrets.includes('p@ss%21'))
  assert.match((await warnings(t, text)).join('\n'), /CAMERA_1_URL: .*%40/)
})

test('an @ in a path is left alone', async (t) => {
  const { cameras } = await config(t, 'CAMERA_1_URL=rtsp://cam:554/live@main')
  assert.equal(cameras[0]?.url, 'rtsp://cam:554/live@main')
})

test('URLs as real cameras have them are accepted as they are', async (t) => {
  for (const url of [
    'rtsp://[fe80::1]:554/live@main',
    'rtsp://admin:@cam/1',
    'rtsp://admin@cam/1',
    'rtmp://cam/bcs/channel0_main.bcs?channel=0&stream=0&user=admin&password=x',
    'rtsp://cam:554/user=admin_password=x_channel=1_stream=0.sdp',
  ]) {
    const { cameras } = await config(t, `CAMERA_1_URL=${url}`)
    assert.equal(cameras[0]?.url, url)
  }
})

test('a password in the path of a URL is a secret like any other', async (t) => {
  const { secrets } = await config(
    t,
    'CAMERA_1_URL=rtsp://cam/user=admin_password=ca_nary_channel=1',
  )
  assert.deepEqual([...new Set(secrets)], ['ca_nary'])
})

test('a URL in the wrong variable is refused without showing its password', async (t) => {
  const url = 'rtsp://operator:canary@cam/1'
  const text = `CAMERA_1_URL=${url}\nCAMERA_1_NAME=${url}\nCAMERA_1_AUDIO=${url}`
  const found = (await faults(t, text)).join('\n')
  assert.match(found, /CAMERA_1_NAME: .*\nCAMERA_1_AUDIO: /)
  assert.doesNotMatch(found, /canary/)
})

test('a misspelt CAM_1_URL or CAMERA_0_URL does not go unnoticed', async (t) => {
  const found = await faults(
    t,
    'CAMERA_1_URL=rtsp://a/1\nCAM_2_URL=rtsp://b/1\nCAMERA_0_URL=rtsp://c/1',
  )
  assert.match(
    found.join('\n'),
    /CAM_2_URL: .*CAMERA_2_URL, perhaps\?\nCAMERA_0_URL: .*CAMERA_1_URL, perhaps\?/,
  )
})

test('an ENV_FILE that is not there, or cannot be read, is a fault that names it', async (t) => {
  const folder = await temporaryFolder(t)
  for (const file of [join(folder, 'none.env'), folder]) {
    const checked = readRecorderConfig(readEnvironment({ ENV_FILE: file }))
    assert.ok('faults' in checked)
    assert.match(
      checked.faults.map(describeFault).join('\n'),
      new RegExp(`^ENV_FILE: found .*${file}`),
    )
  }
})

test('a time zone that Node.js does not know gets a warning', async (t) => {
  const text = 'CAMERA_1_URL=rtsp://a/1\nTZ=Europe/Berln'
  assert.match((await warnings(t, text)).join('\n'), /TZ="Europe\/Berln" is no zone/)
})

test('two cameras with the same file name are a fault, also when only their case differs', async (t) => {
  const text =
    'CAMERA_1_URL=rtsp://a/1\nCAMERA_1_NAME=Ü ber\nCAMERA_2_URL=rtsp://b/1\nCAMERA_2_NAME=u_BER'
  assert.match((await faults(t, text)).join('\n'), /^CAMERA_2_NAME: .*camera 1/)
})

test('a camera number given twice is a fault', async (t) => {
  const text = 'CAMERA_1_URL=rtsp://a/1\nCAMERA_1_URL=rtsp://b/1'
  assert.match((await faults(t, text)).join('\n'), /^CAMERA_1_URL: found 2 lines/)
})

test('a camera with a name but no URL is not recorded, and that is said', async (t) => {
  const text = 'CAMERA_1_URL=rtsp://a/1\nCAMERA_2_NAME=Back\nCAMERA_2_URL='
  assert.match((await warnings(t, text)).join('\n'), /CAMERA_2_URL is not set/)
})
