import { echoState } from "../../reproduce/experiments/echo-state.ts";
import { shortForms } from "./short-forms.ts";

shortForms(echoState);
