// An audio processor in Node: node processor.js [PORT [DELAY_MS [FFMPEG_AUDIO_FILTER]]]
const { spawn } = require('child_process');
const http = require('http').createServer();
const { Server } = require('socket.io');
const [port = 5000, delayMs = 100, filter] = process.argv.slice(2);

// Fragmented MP4 in, MP4 out: through FFmpeg where there is a filter, otherwise the sound as it came.
const processAudio = (data) => new Promise((resolve, reject) => {
  if (!filter) return resolve(data);
  const output = ['-c:a', 'aac', '-f', 'mp4', '-movflags', 'frag_keyframe+delay_moov', 'pipe:1'];
  const ffmpeg = spawn('ffmpeg', ['-v', 'error', '-i', 'pipe:0', '-af', filter, ...output]);
  const chunks = [];
  ffmpeg.stdout.on('data', (chunk) => chunks.push(chunk));
  ffmpeg.on('error', reject);
  ffmpeg.on('close', (code) => (code ? reject(new Error(`ffmpeg: ${code}`)) : resolve(Buffer.concat(chunks))));
  ffmpeg.stdin.on('error', () => {}).end(data); // FFmpeg that ends early says why by its code
});

new Server(http, { maxHttpBufferSize: 64 * 1024 * 1024 }).on('connection', (socket) => {
  socket.on('fragment:data', async ({ fragment, data }) => {
    const began = Date.now();
    socket.emit('fragment:ack', { fragment: { id: fragment.id }, status: 'queued' });
    await new Promise((resolve) => setTimeout(resolve, delayMs)); // work that takes its time
    const answered = (processed) => socket.emit('fragment:processed',
      { fragment, data: processed, metadata: { processingTime: Date.now() - began } });
    const failed = (error) => socket.emit('fragment:error', { fragment, error: error.message, code: 'PROCESSING_FAILED' });
    await processAudio(data).then(answered, failed);
  });
});
http.listen(port, '127.0.0.1', () => console.log(`listening ${http.address().port}`));
