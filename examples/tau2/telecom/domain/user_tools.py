"""The phone of the customer, and what is around it. Its data are two singletons, `device` and `surroundings`."""

MODES = ["4g_5g_preferred", "4g_only", "3g_only", "2g_only"]
APN = {"apn_name": "internet", "reset_at_reboot": False, "mms_apn": "mms", "mmsc_url": "http://mms.carrier.com/mms/wapenc", "mms_proxy": None, "mms_port": None}
PERMISSIONS = ["sms", "storage", "phone", "network"]


def _device():
    return db_get("device")


def _around():
    return db_get("surroundings")


def _keep(device):
    db_put("device", device)


def _sim(device):
    return "missing" if device["sim_card_missing"] else device["sim_card_status"]


def _no_service(device):
    device["network_connection_status"] = "no_service"
    device["network_technology_connected"] = "none"
    device["network_signal_strength"] = "none"


def _network_search(device):
    around = _around()
    signal = around["signal_strength"]
    if _sim(device) == "active":
        device["network_connection_status"] = "connected"
        wanted = {"4g_only": "4G", "3g_only": "3G", "2g_only": "2G"}.get(device["network_mode_preference"], "4G")
        if device["network_mode_preference"] == "4g_5g_preferred" and signal.get("5G", "none") != "none":
            wanted = "5G"
        device["network_technology_connected"] = wanted
        device["network_signal_strength"] = signal.get(wanted, "none")
    else:
        _no_service(device)
    if device["airplane_mode"] or device["active_apn_settings"]["apn_name"] == "broken" or not around["line_active"]:
        _no_service(device)


def _bar(device):
    shown = []
    if device["airplane_mode"]:
        shown.append("✈️ Airplane Mode")
    else:
        bars = {"none": "📵 No Signal", "poor": "📶¹ Poor", "fair": "📶² Fair", "good": "📶³ Good", "excellent": "📶⁴ Excellent"}
        shown.append(bars.get(device["network_signal_strength"], "📵 No Signal"))
        technology = device["network_technology_connected"]
        if technology != "none":
            shown.append(technology)
        if device["data_enabled"] and technology != "none":
            shown.append("📱 Data Enabled")
            if device["data_saver_mode"]:
                shown.append("🔽 Data Saver")
        else:
            shown.append("📵 Data Disabled")
    if device["wifi_enabled"] and device["wifi_connected"]:
        shown.append(f"📡 Connected to {device['wifi_ssid']}" if device["wifi_ssid"] else "📡 Enabled")
    if device["vpn_connected"]:
        shown.append("🔒 VPN Connected")
    shown.append(f"🔋 {device['battery_level']}%")
    return " | ".join(shown)


def _told(text, device):
    _keep(device)
    return f"{text}\nStatus Bar: {_bar(device)}"


def _on(flag):
    return "ON" if flag else "OFF"


def _yes(flag):
    return "Yes" if flag else "No"


def check_status_bar() -> str:
    """See the icons in your phone's status bar."""
    return f"Status Bar: {_bar(_device())}"


def check_network_status() -> str:
    """Check your phone's connection to cellular networks and Wi-Fi."""
    d = _device()
    lines = [
        f"Airplane Mode: {_on(d['airplane_mode'])}",
        f"SIM Card Status: {_sim(d)}",
        f"Cellular Connection: {d['network_connection_status']}",
        f"Cellular Signal: {d['network_signal_strength']}",
        f"Cellular Network Type: {d['network_technology_connected']}",
        f"Mobile Data Enabled: {_yes(d['data_enabled'])}",
        f"Data Roaming Enabled: {_yes(d['roaming_enabled'])}",
        f"Wi-Fi Radio: {_on(d['wifi_enabled'])}",
        f"Wi-Fi Connected: {_yes(d['wifi_connected'])}",
    ]
    if d["wifi_connected"]:
        lines.append(f"Connected Wi-Fi Network: {d['wifi_ssid']}")
    return "\n".join(lines)


def check_network_mode_preference() -> str:
    """See the network mode that your phone prefers."""
    return f"Network Mode Preference: {_device()['network_mode_preference']}"


def set_network_mode_preference(mode: str) -> str:
    """Change which mobile networks your phone prefers.

    Args:
        mode: One of '4g_5g_preferred', '4g_only', '3g_only', '2g_only'.
    """
    d = _device()
    if mode not in MODES:
        return f"Failed to set network mode: '{mode}' is not a valid option. Please use one of: {', '.join(MODES)}\nStatus Bar: {_bar(d)}"
    d["network_mode_preference"] = mode
    _network_search(d)
    return _told(f"Preferred Network Mode set to: {mode}", d)


def _data_works(d):
    around = _around()
    if d["airplane_mode"] or d["network_signal_strength"] == "none" or d["network_connection_status"] == "no_service":
        return False
    if around["is_abroad"] and not (d["roaming_enabled"] and around["roaming_allowed"]):
        return False
    return d["data_enabled"] and not around["mobile_data_usage_exceeded"]


def _speed(d):
    if not _data_works(d):
        return None, "No Connection"
    factor = 1.0
    if d["vpn_connected"] and d["vpn_details"] and d["vpn_details"]["server_performance"] == "poor":
        factor = 0.1
    if d["data_saver_mode"]:
        factor = factor * 0.2
    low, high = {"2G": (0.1, 0.4), "3G": (1.0, 5.0), "4G": (10.0, 100.0), "5G": (50.0, 500.0)}.get(d["network_technology_connected"], (0.0, 0.0))
    strength = {"poor": 0.2, "fair": 0.5, "good": 0.8, "excellent": 1.0}.get(d["network_signal_strength"], 0.0)
    speed = round((low + high) / 2.0 * strength * factor, 2)
    for bound, word in [(1, "Very Poor"), (5, "Poor"), (25, "Fair"), (100, "Good")]:
        if speed < bound:
            return speed, word
    return speed, "Excellent"


def run_speed_test() -> str:
    """Measure your current download speed."""
    speed, word = _speed(_device())
    if speed is None:
        return f"Speed test failed: {word}."
    advice = {
        "Very Poor": "Connection is very slow. Basic web browsing might be difficult.",
        "Poor": "Connection is slow. Web browsing may be sluggish, streaming difficult.",
        "Fair": "Connection is okay for web browsing and some standard definition streaming.",
        "Good": "Connection is good for most activities, including HD streaming.",
        "Excellent": "Connection is very fast.",
    }[word]
    return f"Speed Test Result: {speed:.2f} Mbps ({word}). {advice}"


def _wifi_off(d):
    d["wifi_connected"] = False
    d["wifi_ssid"] = None
    d["wifi_signal_strength"] = "none"


def _drop_vpn(d):
    was = d["vpn_connected"]
    if was:
        d["vpn_connected"] = False
        d["vpn_details"] = None
    return was


def _flip_airplane(d):
    was = d["airplane_mode"]
    d["airplane_mode"] = not was
    if was:
        d["network_connection_status"] = "searching"
        if d["wifi_enabled"]:
            _wifi_off(d)
    else:
        _wifi_off(d)
        _drop_vpn(d)
    _network_search(d)


def toggle_airplane_mode() -> str:
    """Turn airplane mode on or off."""
    d = _device()
    _flip_airplane(d)
    return _told(f"Airplane Mode is now {_on(d['airplane_mode'])}.", d)


def _set_airplane_mode(on):
    d = _device()
    _flip_airplane(d)
    if d["airplane_mode"] != on:
        _flip_airplane(d)
    _keep(d)
    return f"Airplane Mode is now {_on(on)}."


def _turn_airplane_mode_on():
    return _set_airplane_mode(True)


def _turn_airplane_mode_off():
    return _set_airplane_mode(False)


def check_sim_status() -> str:
    """Check whether your SIM card works."""
    return {
        "active": "Your SIM card is active and working.",
        "missing": "No SIM card detected in the phone.",
        "locked_pin": "The SIM card is locked with a PIN code.",
        "locked_puk": "The SIM card is locked with a PUK code.",
    }[_sim(_device())]


def reseat_sim_card() -> str:
    """Take your SIM card out and put it back."""
    d = _device()
    d["sim_card_missing"] = False
    _network_search(d)
    return _told("SIM card re-seated successfully.", d)


def _unseat_sim_card():
    d = _device()
    d["sim_card_missing"] = True
    _network_search(d)
    _keep(d)
    return "SIM card un-seated successfully."


def _lock_sim_card(mode):
    d = _device()
    d["sim_card_status"] = f"locked_{mode}"
    _network_search(d)
    _keep(d)
    return f"SIM card locked successfully in {mode} mode."


def toggle_data() -> str:
    """Turn mobile data on or off."""
    d = _device()
    d["data_enabled"] = not d["data_enabled"]
    _network_search(d)
    return _told(f"Mobile Data is now {_on(d['data_enabled'])}.", d)


def _turn_data_on():
    d = _device()
    d["data_enabled"] = True
    _keep(d)
    return "Data connection restored."


def _turn_data_off():
    d = _device()
    d["data_enabled"] = False
    _network_search(d)
    _keep(d)
    return "Data connection broken."


def toggle_roaming() -> str:
    """Turn data roaming on or off."""
    d = _device()
    d["roaming_enabled"] = not d["roaming_enabled"]
    _network_search(d)
    return _told(f"Data Roaming is now {_on(d['roaming_enabled'])}.", d)


def _set_roaming(on):
    d = _device()
    d["roaming_enabled"] = on
    _network_search(d)
    _keep(d)
    return f"Data Roaming is now {_on(on)}."


def _turn_roaming_on():
    return _set_roaming(True)


def _turn_roaming_off():
    return _set_roaming(False)


def check_data_restriction_status() -> str:
    """Check whether data saver is on."""
    return "Data Saver mode is ON (limits data usage)." if _device()["data_saver_mode"] else "Data Saver mode is OFF."


def toggle_data_saver_mode() -> str:
    """Turn data saver on or off."""
    d = _device()
    d["data_saver_mode"] = not d["data_saver_mode"]
    return _told(f"Data Saver Mode is now {_on(d['data_saver_mode'])}.", d)


def _set_data_saver_mode(on):
    d = _device()
    d["data_saver_mode"] = on
    _keep(d)
    return f"Data Saver Mode is now {_on(on)}."


def _turn_data_saver_mode_on():
    return _set_data_saver_mode(True)


def _turn_data_saver_mode_off():
    return _set_data_saver_mode(False)


def check_apn_settings() -> str:
    """Check your phone's APN settings."""
    apn = _device()["active_apn_settings"]
    return f"Current APN Name: {apn['apn_name'] or 'Not Set'}\nMMSC URL (for picture messages): {apn['mmsc_url'] or 'Not Set'}\n(These are technical settings, usually best left unchanged.)"


def set_apn_settings(apn_settings: dict) -> str:
    """Set your phone's APN settings. What is left out gets its usual value.

    Args:
        apn_settings: Any of apn_name, reset_at_reboot, mms_apn, mmsc_url, mms_proxy, mms_port.
    """
    d = _device()
    apn = dict(APN)
    for key, value in apn_settings.items():
        if key not in APN:
            raise ValueError(f"APN settings have no {key}")
        apn[key] = value
    d["active_apn_settings"] = apn
    _network_search(d)
    return _told(f"APN settings set to: {apn['apn_name']}", d)


def reset_apn_settings() -> str:
    """Reset your APN settings; it takes effect at the next reboot."""
    d = _device()
    d["active_apn_settings"]["reset_at_reboot"] = True
    _network_search(d)
    return _told("APN settings will reset at reboot.", d)


def _break_apn_settings():
    d = _device()
    d["active_apn_settings"]["apn_name"] = "broken"
    _network_search(d)
    _keep(d)
    return "APN settings broken. Please call reset_apn_settings() to fix."


def _break_apn_mms_setting():
    d = _device()
    d["active_apn_settings"]["mmsc_url"] = None
    _keep(d)
    return "APN MMS setting broken. Please call reset_apn_settings() to fix."


def check_wifi_status() -> str:
    """Check your Wi-Fi."""
    d = _device()
    if not d["wifi_enabled"]:
        return "Wi-Fi is turned OFF."
    if d["wifi_connected"]:
        return f"Wi-Fi is ON and connected to '{d['wifi_ssid']}'. Signal strength: {d['wifi_signal_strength']}."
    return "Wi-Fi is ON but not connected to any network."


def toggle_wifi() -> str:
    """Turn Wi-Fi on or off."""
    d = _device()
    if d["airplane_mode"]:
        return f"Cannot change Wi-Fi settings while Airplane Mode is ON.\nStatus Bar: {_bar(d)}"
    d["wifi_enabled"] = not d["wifi_enabled"]
    if not d["wifi_enabled"]:
        _wifi_off(d)
    return _told(f"Wi-Fi is now {_on(d['wifi_enabled'])}.", d)


def check_wifi_calling_status() -> str:
    """Check whether Wi-Fi calling is on."""
    return f"Wi-Fi Calling is currently turned {_on(_device()['wifi_calling_enabled'])}."


def toggle_wifi_calling() -> str:
    """Turn Wi-Fi calling on or off."""
    d = _device()
    d["wifi_calling_enabled"] = not d["wifi_calling_enabled"]
    return _told(f"Wi-Fi Calling is now {_on(d['wifi_calling_enabled'])}.", d)


def _set_wifi_calling(enabled, mms_over_wifi=None):
    d = _device()
    d["wifi_calling_enabled"] = enabled
    text = f"Wi-Fi Calling is now {_on(enabled)}."
    if mms_over_wifi is not None:
        d["wifi_calling_mms_over_wifi"] = mms_over_wifi
        text = f"{text}\nMMS over Wi-Fi is now {_on(mms_over_wifi)}."
    _keep(d)
    return text


def check_vpn_status() -> str:
    """Check whether you use a VPN."""
    d = _device()
    if d["vpn_connected"]:
        v = d["vpn_details"]
        if v:
            level = v["server_performance"]
            return "VPN is ON and connected. Details: {'server_address': '" + v["server_address"] + "', 'protocol': '" + v["protocol"] + "', 'server_performance': <PerformanceLevel." + level.upper() + ": '" + level + "'>}"
        return "VPN is ON and connected (no specific details available)."
    if d["vpn_enabled_setting"]:
        return "VPN is turned ON in settings, but currently not connected."
    return "VPN is turned OFF."


def _join_vpn(d, performance):
    d["vpn_connected"] = True
    d["vpn_details"] = {"server_address": "192.168.1.1", "protocol": "OpenVPN", "server_performance": performance}


def connect_vpn() -> str:
    """Connect to your VPN."""
    d = _device()
    if d["vpn_connected"]:
        return "VPN already connected."
    _join_vpn(d, "excellent")
    return _told("VPN connected successfully.", d)


def disconnect_vpn() -> str:
    """Disconnect your VPN."""
    d = _device()
    return _told("VPN disconnected successfully." if _drop_vpn(d) else "No active VPN connection to disconnect.", d)


def _break_vpn():
    d = _device()
    _join_vpn(d, "poor")
    _keep(d)
    return "VPN connection broken."


def check_installed_apps() -> str:
    """See the apps on your phone."""
    return f"The following apps are installed on the phone: {', '.join(_device()['app_statuses'].keys())}"


def _granted(app_name):
    """The permissions that an app has; None where there is no such app."""
    app = _device()["app_statuses"].get(app_name)
    return None if app is None else [p for p in PERMISSIONS if app["permissions"][p]]


def check_app_status(app_name: str) -> str:
    """See an app's permissions, one a line.

    Args:
        app_name: For example 'messaging'.
    """
    granted = _granted(app_name)
    if granted is None:
        return f"App '{app_name}' not found on this phone."
    if not granted:
        return f"Status for App: {app_name}\n - Permissions: None granted."
    return "\n".join([f"Status for App: {app_name}", " - Permissions Granted:"] + [f"   - {p}" for p in granted])


def check_app_permissions(app_name: str) -> str:
    """See which permissions an app has.

    Args:
        app_name: For example 'messaging'.
    """
    granted = _granted(app_name)
    if granted is None:
        return f"App '{app_name}' not found on this phone."
    if not granted:
        return f"App '{app_name}' currently has no permissions granted."
    return f"App '{app_name}' has permission for: {', '.join(granted)}."


def grant_app_permission(app_name: str, permission: str) -> str:
    """Give an app a permission.

    Args:
        app_name: For example 'messaging'.
        permission: One of 'sms', 'storage', 'phone', 'network'.
    """
    d = _device()
    permission = permission.lower()
    app = d["app_statuses"].get(app_name)
    if app is None:
        return _told(f"Error. App '{app_name}' not found. Cannot grant permission.", d)
    if permission not in PERMISSIONS:
        return _told(f"Error. Permission '{permission}' not tracked for app '{app_name}', available permissions: {PERMISSIONS}", d)
    app["permissions"][permission] = True
    return _told(f"Success. Permission '{permission}' granted to app '{app_name}'.", d)


def _remove_app_permission(app_name, permission):
    d = _device()
    d["app_statuses"][app_name]["permissions"][permission.lower()] = False
    _keep(d)
    return [True, f"Permission '{permission}' removed from app '{app_name}'."]


def _mms(d):
    apps = d["app_statuses"]
    if not _data_works(d) or d["network_technology_connected"] == "2G":
        return False
    if d["wifi_calling_enabled"] and d["wifi_calling_mms_over_wifi"]:
        return False
    if d["active_apn_settings"]["mmsc_url"] is None or "messaging" not in apps:
        return False
    return apps["messaging"]["permissions"]["storage"] and apps["messaging"]["permissions"]["sms"]


def can_send_mms() -> str:
    """Check whether your messaging app can send MMS."""
    return "Your messaging app can send MMS messages." if _mms(_device()) else "Your messaging app cannot send MMS messages."


def reboot_device() -> str:
    """Restart your phone."""
    d = _device()
    lines = []
    if d["active_apn_settings"]["reset_at_reboot"]:
        lines.append("Resetting APN settings...")
        d["active_apn_settings"] = dict(APN)
    lines.append("Restarting network services...")
    _network_search(d)
    return _told("\n".join(lines), d)


def check_payment_request() -> str:
    """Check whether the agent sent you a payment request."""
    request = _around()["payment_request"]
    if request is None:
        return "No payment request has been made."
    return f"You have a payment request for bill {request['bill_id']} of {request['amount_due']} USD."


def make_payment() -> str:
    """Pay the bill that the agent sent you."""
    around = _around()
    request = around["payment_request"]
    if request is None:
        return "You do not have a payment request."
    request["paid"] = True
    db_put("surroundings", around)
    return f"Payment of {request['amount_due']} USD has been made for bill {request['bill_id']}."


# Functions that only tasks call: they set the scene, and they assert its end.

def _simulate_network_search():
    d = _device()
    _network_search(d)
    _keep(d)
    return None


def _set_user_info(name, phone_number):
    around = _around()
    around["name"] = name
    around["phone_number"] = phone_number
    db_put("surroundings", around)


def _set_user_location(abroad):
    around = _around()
    around["is_abroad"] = abroad
    db_put("surroundings", around)


def _assert_airplane_mode_status(expected_status):
    return _device()["airplane_mode"] == expected_status


def _assert_service_status(expected_status):
    return _device()["network_connection_status"] == expected_status


def _assert_mobile_data_status(expected_status):
    return _data_works(_device()) == expected_status


def _assert_mobile_roaming_status(expected_status):
    return _device()["roaming_enabled"] == expected_status


def _assert_mobile_data_saver_mode_status(expected_status):
    return _device()["data_saver_mode"] == expected_status


def _assert_internet_speed(expected_speed, expected_desc=None):
    speed, word = _speed(_device())
    fast = (speed or 0.0) >= expected_speed
    return fast if expected_desc is None else fast and word.lower() == expected_desc.lower()


def _assert_internet_not_excellent():
    return _speed(_device())[1].lower() != "excellent"


def _assert_can_send_mms(expected_status):
    return _mms(_device()) == expected_status


def _assert_mobile_data_usage_exceeded(expected_status):
    return _around()["mobile_data_usage_exceeded"] == expected_status


# The two sides stay in step: this runs after every call.

def _sync():
    around = _around()
    number = around["phone_number"]
    if number is None:
        return None
    line_ids = db_find("lines", "phone_number", number)
    if len(line_ids) == 0:
        raise ValueError(f"Line with phone number {number} not found")
    line = db_get("lines", line_ids[0])
    plan = _one("plans", "Plan", line["plan_id"])
    around["line_active"] = line["status"] == "Active"
    around["roaming_allowed"] = line["roaming_enabled"]
    around["mobile_data_usage_exceeded"] = line["data_used_gb"] >= plan["data_limit_gb"] + line["data_refueling_gb"]
    request = around["payment_request"]
    if request is not None and request["paid"]:
        bill = _one("bills", "Bill", request["bill_id"])
        bill["status"] = "Paid"
        db_put("bills", request["bill_id"], bill)
        request = None
    if request is None:
        waiting = _awaiting(_by_phone(number))
        if len(waiting) != 0:
            request = {"bill_id": waiting[0]["bill_id"], "amount_due": waiting[0]["total_due"], "paid": False}
    around["payment_request"] = request
    db_put("surroundings", around)
    return None
