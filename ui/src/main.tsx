import { render } from "preact";

import { App } from "./app";
import { begin } from "./shell/store";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/stream.css";
import "./styles/media.css";
import "./styles/log.css";
import "./styles/form.css";

begin();
const page = document.getElementById("page");
if (page !== null) render(<App />, page);
