/** The store that the demo's objects go to. */
export interface DemoStore {
  endpoint: string
  bucket: string
  accessKeyId: string
  secretAccessKey: string
}

/** The demo's own ENV_FILE: two cameras, short segments, a store on loopback. */
export function envText(cameras: Record<string, string>, store: DemoStore): string {
  const lines = Object.entries(cameras).flatMap(([name, url], index) => [
    `CAMERA_${index + 1}_NAME=${name}`,
    // Percent-encoded, an apostrophe included: nothing in it needs more than these quotes.
    `CAMERA_${index + 1}_URL='${url}'`,
  ])
  return `# Written by demo/main.ts, anew each time.
BASE_DIR=data/demo
${lines.join('\n')}
SEGMENT_DURATION=10
LOCAL_RETENTION_HOURS=1
S3_ENDPOINT=${store.endpoint}
S3_BUCKET_NAME=${store.bucket}
S3_SERVER_SIDE_ENCRYPTION=none
AWS_REGION=us-east-1
AWS_ACCESS_KEY_ID='${store.accessKeyId}'
AWS_SECRET_ACCESS_KEY='${store.secretAccessKey}'
`
}
