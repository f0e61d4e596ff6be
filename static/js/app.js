// All modules of a page. Each is one behaviour; they talk through events on the document.
import "./batch.js";
import "./cards.js";
import "./clock.js";
import "./copy.js";
import "./detail.js";
import "./dialog.js";
import "./focus.js";
import "./keys.js";
import "./list.js";
import "./panes.js";
import "./payload.js";
import "./reach.js";
import "./send.js";
import "./tabs.js";
import { connect } from "./live.js";

connect();
